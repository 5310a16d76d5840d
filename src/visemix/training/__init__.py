from visemix.training.fitting import fit_stage
from visemix.training.logs import LOG
from visemix.training.modules import STAGES
from visemix.training.optim import StageOptions, stage_options
from visemix.training.stage import StageModule

__all__ = ["LOG", "STAGES", "StageModule", "StageOptions", "fit_stage", "stage_options"]
