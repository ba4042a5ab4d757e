"""Judges a PowerShell script by the grammar of tree-sitter-powershell and by what Microsoft's documentation says of the
commands it calls. Prints the values of literals assigned to variables and parameters as JSON; what is wrong, with its line,
goes to standard error, with exit status 1."""

import json
import sys

import tree_sitter_powershell
from tree_sitter import Language, Parser

COMMON = {"-ErrorAction"}
# Commands that only look, then those that change something, with the parameters they have (learn.microsoft.com: modules
# Microsoft.PowerShell.*, CimCmdlets, Hyper-V).
LOOKING = {
    "ForEach-Object": set(),
    "Get-CimAssociatedInstance": {"-ResultClassName"},
    "Get-CimInstance": {"-Namespace", "-Query", "-ClassName"},
    "Get-Command": {"-Name"},
    "Get-FileHash": {"-LiteralPath", "-Algorithm"},
    "Get-ItemProperty": {"-LiteralPath"},
    "Get-Service": {"-Name"},
    "Get-VM": {"-Name"},
    "Get-VMHardDiskDrive": set(),
    "Get-VMHost": set(),
    "Get-VMHostSupportedVersion": set(),
    "Get-VMNetworkAdapter": set(),
    "Get-VMSwitch": {"-Name"},
    "Join-Path": set(),
    "New-Object": set(),
    "Set-StrictMode": {"-Version"},
    "Start-Sleep": {"-Milliseconds"},
    "Test-Path": {"-LiteralPath", "-PathType"},
    "Where-Object": set(),
    "Write-Output": set(),
    "Write-Warning": set(),
}
CHANGING = {
    "Add-VMHardDiskDrive": {"-VM", "-ControllerType", "-Path"},
    "Add-VMNetworkAdapter": {"-VM", "-SwitchName"},
    "Copy-Item": {"-LiteralPath", "-Destination", "-Force"},
    "Invoke-CimMethod": {"-MethodName", "-Arguments"},
    "New-Item": {"-ItemType", "-Path", "-Force"},
    "New-VM": {"-Name", "-Generation", "-GuestStateIsolationType", "-NoVHD", "-MemoryStartupBytes"},
    "Remove-Item": {"-LiteralPath", "-Recurse", "-Force"},
    "Remove-ItemProperty": {"-LiteralPath", "-Name"},
    "Remove-VM": {"-VM", "-Force"},
    "Remove-VMHardDiskDrive": set(),
    "Remove-VMNetworkAdapter": set(),
    "Set-ItemProperty": {"-LiteralPath", "-Name", "-Value", "-Type"},
    "Set-VM": {"-VM", "-Notes", "-ProcessorCount", "-StaticMemory", "-MemoryStartupBytes", "-AutomaticCheckpointsEnabled"},
    "Set-VMComPort": {"-VM", "-Number", "-Path"},
    "Set-VMFirmware": {"-VM", "-FirstBootDevice", "-EnableSecureBoot"},
    "Start-VM": {"-VM"},
    "Stop-VM": {"-VM", "-TurnOff", "-Force"},
    "icacls.exe": set(),
}
AUTOMATIC = {"_", "null", "true", "false", "psscriptroot", "pscmdlet", "whatifpreference", "lastexitcode", "erroractionpreference"}
QUOTES = "'\u2018\u2019\u201a\u201b"

problems = []


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def text(node):
    return node.text.decode()


def wrong(node, what):
    problems.append(f"line {node.start_point[0] + 1}: {what}")


def first(node, kind):
    return next((child for child in walk(node) if child.type == kind), None)


def above(node):
    while node.parent:
        yield node.parent
        node = node.parent


def asks(node):
    """A condition that asks ShouldProcess, so that -WhatIf and -Confirm decide."""
    return any(child.type == "simple_name" and text(child) == "ShouldProcess" for child in walk(node))


def is_guarded(command):
    block = None
    for node in above(command):
        if node.type == "statement_block":
            block = node
        elif node.type in ("if_statement", "elseif_clause") and block is not None and block.parent == node:
            if any(asks(child) for child in node.children if child.type not in ("statement_block", "elseif_clauses", "else_clause")):
                return True
        elif node.type == "statement_list":
            # What comes before ends the function unless it was allowed.
            earlier = [child for child in node.children if child.end_byte <= command.start_byte]
            if any(c.type == "if_statement" and asks(c) and "return" in text(c) and "-not $PSCmdlet" in text(c) for c in earlier):
                return True
    return False


def function_of(node):
    return next((text(first(up, "function_name")) for up in above(node) if up.type == "function_statement"), None)


def judge_commands(root):
    commands = [(node, text(first(node, "command_name"))) for node in walk(root) if node.type == "command"]
    functions = {text(first(node, "function_name")) for node in walk(root) if node.type == "function_statement"}
    known = LOOKING | CHANGING
    for node, name in commands:
        if name in functions:
            continue
        if name not in known:
            wrong(node, f"{name} is no command that the documentation has")
            continue
        for parameter in (text(child) for child in walk(node) if child.type == "command_parameter"):
            owner = next(up for up in above(next(c for c in walk(node) if text(c) == parameter)) if up.type == "command")
            if owner == node and parameter not in known[name] | COMMON:
                wrong(node, f"{name} has no parameter {parameter}")
    # A function that changes something may do so where all of its calls are guarded.
    changing, grown = set(CHANGING), True
    while grown:
        unguarded = {function_of(node) for node, name in commands if name in changing and not is_guarded(node)}
        grown = not unguarded - {None} <= changing
        changing |= unguarded - {None}
    for node, name in commands:
        if name in changing and function_of(node) is None and not is_guarded(node):
            wrong(node, f"{name} changes something and doesn't ask ShouldProcess")
    called = {name for _, name in commands}
    for name in functions - called:
        problems.append(f"the function {name} is never called")


def judge_variables(root):
    used, defined, places = set(), set(AUTOMATIC), {}
    for node in walk(root):
        if node.type not in ("variable", "braced_variable"):
            continue
        name = text(node).lstrip("$").strip("{}").lower()
        if ":" in name:
            continue
        chain = list(above(node))
        is_target = any(up.type == "left_assignment_expression" for up in chain) and not any(
            up.type in ("member_access", "element_access") for up in chain[:3]
        )
        is_parameter = any(up.type == "script_parameter" for up in chain)
        is_counter = node.parent.type == "foreach_statement"
        if is_target or is_parameter or is_counter:
            defined.add(name)
        else:
            used.add(name)
        places.setdefault(name, node)
    for name in used - defined:
        wrong(places[name], f"${name} is nowhere set")
    for name in defined - used - AUTOMATIC:
        wrong(places[name], f"${name} is set and never used")


def literal(node):
    """The value of a single-quoted string, by the language's rules."""
    inner, value, index = text(node)[1:-1], "", 0
    while index < len(inner):
        value += inner[index]
        index += 2 if inner[index] in QUOTES else 1
    return value


def literals(root):
    found = {}
    for node in walk(root):
        if node.type in ("script_parameter", "assignment_expression"):
            variable, string = first(node, "variable"), first(node, "verbatim_string_characters")
            if variable and string:
                found.setdefault(text(variable).lstrip("$"), literal(string))
    return found


def main():
    source = sys.stdin.buffer.read()
    if not source.startswith(b"\xef\xbb\xbf"):
        problems.append("no byte order mark: Windows PowerShell would take it for another encoding")
    root = Parser(Language(tree_sitter_powershell.language())).parse(source[3:]).root_node
    for node in walk(root):
        if node.type == "ERROR" or node.is_missing:
            wrong(node, f"not by the grammar: {text(node)[:60]!r}")
    if not problems:
        judge_commands(root)
        judge_variables(root)
    print(json.dumps(literals(root)))
    print("\n".join(problems), file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
