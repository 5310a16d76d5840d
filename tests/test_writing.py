"""Files are written in one way, by `visemix.ops.store`: whole or not at all, whatever happens."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src/visemix"
WRITERS = {
    "write_text", "write_bytes", "save_file", "save_model", "imsave", "imwrite", "savemat", "savez", "savez_compressed",
    "tofile", "to_csv", "OmegaConf.save", "np.save", "np.savetxt", "torch.save", "json.dump", "pickle.dump",
    "yaml.dump", "soundfile.write", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move",
    "touch",
}  # fmt: skip
INSIDE = {"atomic_write", "atomic_folder", "scratch"}  # contexts that give a place in which anything may be written
EXCEPT = {
    "ops/store.py": "is the way",
    "ops/locks.py": "makes the locks",
    "sweep/runner.py:_run_logged": "log.txt grows while others' prints stream into it; nobody reads it back",
    "prepare/detect.py:silence_stderr": "writes nowhere",
    "data/writer.py:__enter__": "streams into a scratch folder",
    "report/media.py": "writes into memory, or a temporary folder",
    "corpus/codecs.py": "writes into memory",
    "data/clipwriter.py:flac": "writes into memory",
}
ours = {"write_text", "write_bytes"}  # of the store, as functions; a path's methods of that name are not


def is_writing(call):
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if last == "open":
        modes = [arg.value for arg in [*call.args, *(k.value for k in call.keywords)] if isinstance(arg, ast.Constant)]
        return any(isinstance(mode, str) and set(mode) & set("wxa+") and set(mode) <= set("wxartb+") for mode in modes)
    return name in WRITERS - ours or (last in WRITERS and "." in name)


def writes(source):
    """(function, line, call) of each call that writes a file in place."""
    found = []

    def visit(node, function, inside):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            function = node.name
        if isinstance(node, ast.With):
            inside = inside or any(ast.unparse(item.context_expr).split("(")[0] in INSIDE for item in node.items)
        if isinstance(node, ast.Call) and is_writing(node) and not inside:
            found.append((function, node.lineno, ast.unparse(node.func)))
        for child in ast.iter_child_nodes(node):
            visit(child, function, inside)

    visit(ast.parse(source), "", False)
    return found


def test_each_way_to_write_in_place_is_seen():
    for line in (
        "open(path, 'w')", "path.open('ab')", "path.open(mode='x')", "path.write_text(text)", "(a / b).write_bytes(x)",
        "OmegaConf.save(cfg, path)", "np.save(path, x)", "save_file(tensors, path)", "json.dump(x, file)",
        "torch.save(x, path)", "soundfile.write(path, wave, 16000)", "av.open(path, 'w', format='mp4')",
    ):  # fmt: skip
        assert len(writes(f"def f():\n    {line}")) == 1, line
    for line in ("write_text(path, text)", "path.open()", "path.open('rb')", "json.dumps(x)", "open(path)"):
        assert not writes(f"def f():\n    {line}"), line
    assert not writes("with atomic_write(path) as part, part.open('wb') as file:\n    np.savez(file, x)")


def test_nothing_is_written_in_place():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE).as_posix()
        found = [] if here in EXCEPT else writes(path.read_text(encoding="utf-8"))
        wrong += [f"{here}:{line} {call}" for function, line, call in found if f"{here}:{function}" not in EXCEPT]
    assert not wrong
