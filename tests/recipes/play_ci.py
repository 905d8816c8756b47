"""Plays the part of a CI system for one job: play_ci.py github|gitlab|jenkins FILE URL

It reads the job from FILE and runs its scripts as that system does: in its shell, with its variables, and
with what comes behind a script that has failed. URL takes the place of the server that FILE names. It
does not know what the scripts do. The exit code is that of the job: 0, or 1 where a script has failed.
"""

import os
import re
import string
import subprocess
import sys
import tempfile

import tree_sitter
import tree_sitter_groovy
import yaml

SERVER = "http://latchd.example:8081"


def shell(command, script, variables):
    """Runs a script, and returns whether it succeeded."""
    print("$", script.strip(), flush=True)
    return subprocess.run([*command, script], env=os.environ | variables, timeout=60).returncode == 0


def github(text):
    """One job of a workflow: bash -e for each step, and GITHUB_ENV for the later ones."""
    (job,) = yaml.safe_load(text)["jobs"].values()
    contexts = {
        "github.run_id": "4711",
        "github.run_attempt": "2",
        "github.job": "test",
        "strategy.job-index": "0",
    }

    def fill(value):
        return re.sub(r"\$\{\{ *(\S+) *\}\}", lambda found: contexts[found[1]], value)

    variables = {name: fill(value) for name, value in job["env"].items()}
    good = True
    for step in job["steps"]:
        condition = step.get("if", "success()")
        assert condition in ("success()", "always()"), condition
        if not good and condition != "always()":
            continue
        with tempfile.NamedTemporaryFile("r") as environment:
            given = variables | {"GITHUB_ENV": environment.name}
            good &= shell(["bash", "-e", "-c"], fill(step["run"]), given)
            variables |= dict(line.rstrip("\n").split("=", 1) for line in environment)
    return good


def gitlab(text):
    """One job: all of its script in one shell, and after_script in another, also after a failure."""
    job = yaml.safe_load(text)["test"]
    known = {"CI_JOB_ID": "4712"}
    variables = known | {
        name: string.Template(value).substitute(known) for name, value in job["variables"].items()
    }
    bash = ["bash", "-eo", "pipefail", "-c"]
    good = shell(bash, "\n".join(job["script"]), variables)
    # Its result does not count.
    shell(bash, "\n".join(job["after_script"]), variables)
    return good


def jenkins(text):
    """A declarative pipeline: its environment, each sh step under sh -xe, and always { } at the end."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_groovy.language()))
    root = parser.parse(text.encode()).root_node
    assert not root.has_error, "not Groovy"

    def within(node, *path):
        """The part of a node that is under blocks of these names."""
        for name in path:
            query = [node]
            while query:
                node = query.pop(0)
                found = node.child_by_field_name("name")
                if node.type == "method_invocation" and found and found.text.decode() == name:
                    break
                query += node.children
            else:
                raise AssertionError(f"no {name}")
        return node

    def scripts(node):
        if node.type == "juxt_function_call" and node.child_by_field_name("name").text == b"sh":
            return [node.child_by_field_name("args").text.decode().strip("'")]
        return [script for child in node.children for script in scripts(child)]

    environment = within(root, "pipeline", "environment").text.decode()
    variables = {"BUILD_TAG": "jenkins-phones/main #7"} | dict(re.findall(r"(\w+) = '(.*)'", environment))
    posix = ["sh", "-xe", "-c"]
    good = all(shell(posix, script, variables) for script in scripts(within(root, "pipeline", "stages")))
    always = scripts(within(root, "pipeline", "post", "always"))
    return all([shell(posix, script, variables) for script in always]) and good


system, path, url = sys.argv[1:]
with open(path) as file:
    recipe = file.read()
assert SERVER in recipe, f"{path} no longer names {SERVER}"
play = {"github": github, "gitlab": gitlab, "jenkins": jenkins}[system]
sys.exit(not play(recipe.replace(SERVER, url)))
