"""Judges a template in Bicep and its parameters: bicep.py TEMPLATE PARAMETERS.

The template is read by two grammars. With its parameters put in, its resources have to be such as Azure's library for
Python can send: every property known, every enumerated value one of the list. Prints what is deployed, as JSON.
"""

import json
import re
import sys

import pycep
import tree_sitter
import tree_sitter_bicep
from azure.mgmt.compute import models

template, parameters = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
# Not of a type of Compute.
FOREIGN = {"Microsoft.Storage/storageAccounts"}
TYPES = {
    "Microsoft.Compute/galleries": models.Gallery,
    "Microsoft.Compute/galleries/images": models.GalleryImage,
    "Microsoft.Compute/galleries/images/versions": models.GalleryImageVersion,
}
ENUMERATED = {
    "osType": models.OperatingSystemTypes,
    "osState": models.OperatingSystemStateTypes,
    "hyperVGeneration": models.HyperVGeneration,
    "architecture": models.Architecture,
}


def fail(why):
    sys.exit(f"{sys.argv[1]}: {why}")


def parsed():
    language = tree_sitter.Language(tree_sitter_bicep.language())
    nodes = [tree_sitter.Parser(language).parse(template.encode()).root_node]
    for node in nodes:
        if node.is_error or node.is_missing:
            fail(f"line {node.start_point[0] + 1}: not by the grammar")
        nodes.extend(node.children)
    return pycep.BicepParser().parse(text=template)


def values(declared):
    """Each parameter's value; a default that is no literal stays what it is."""
    file = json.loads(parameters)
    if file["contentVersion"] != "1.0.0.0" or not file["$schema"].endswith("deploymentParameters.json#"):
        fail("that is no file of parameters")
    given = {name: one["value"] for name, one in file["parameters"].items()}
    for name in given.keys() - declared.keys():
        fail(f"there is no parameter {name}")
    for name, one in declared.items():
        allowed = [d["argument"] for d in one["decorators"] if d["type"] == "allowed"]
        if name in given and allowed and given[name] not in allowed[0]:
            fail(f"{name} can't be {given[name]}")
    without = {name for name, one in declared.items() if one["default"] is None} - given.keys()
    return given, without


def put_in(value, given):
    if isinstance(value, dict):
        return {key: put_in(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_in(inner, given) for inner in value]
    if isinstance(value, str):
        if value in given:
            return given[value]
        return re.sub(r"\$\{(\w+)\}", lambda found: str(given.get(found[1], found[0])), value)
    return value


def check(model, value, path):
    """Every key of the value is a property that the model sends."""
    fields = model._attr_to_rest_field
    known = {field._rest_name: name for name, field in fields.items()}
    for key, inner in value.items():
        if key not in known:
            fail(f"{path} has no {key}")
        if key in ENUMERATED and inner not in {one.value for one in ENUMERATED[key]}:
            fail(f"{path}.{key} can't be {inner}")
        there = getattr(model, known[key])
        for index, (one, part) in enumerate(zip(*([there], [inner]) if not isinstance(inner, list) else (there, inner))):
            if hasattr(one, "_attr_to_rest_field") and isinstance(part, dict):
                check(one, part, f"{path}.{key}" + (f"[{index}]" if isinstance(inner, list) else ""))


document = parsed()
given, without = values(document["parameters"])
deployed = {}
for name, resource in document["resources"].items():
    if resource["existing"] or resource["type"] in FOREIGN:
        continue
    body = put_in(resource["config"], given)
    parent = body.pop("parent", None)
    if parent is not None and parent not in document["resources"]:
        fail(f"{name} has a parent that is not there: {parent}")
    kind = TYPES[resource["type"]]
    check(kind(body), body, name)
    deployed[name] = body
print(json.dumps({"deployed": deployed, "asked": sorted(without)}, default=str))
