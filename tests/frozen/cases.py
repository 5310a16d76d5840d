"""Everything that is frozen, by name: a function that answers with what is."""

import frozen_files
import frozen_metrics
import frozen_parts
import frozen_stages

CASES = frozen_parts.cases() | frozen_metrics.cases() | frozen_stages.cases() | frozen_files.cases()
