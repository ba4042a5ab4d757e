"""Judges one document, says what is wrong with it, and ends with status 1 if something is.

judge.py schema SCHEMA FILE…   JSON Schema of the document's own draft, schema checked as well
judge.py spdx FILE             the SPDX project's validator
judge.py cyclonedx FILE        the CycloneDX project's schema, strictly
judge.py provenance FILE       the in-toto project's messages: no field that they don't know
"""

import json
import sys


def schema(path, *files):
    import jsonschema

    with open(path) as file:
        wanted = json.load(file)
    judge = jsonschema.validators.validator_for(wanted)
    judge.check_schema(wanted)
    for name in files:
        with open(name) as file:
            for error in judge(wanted).iter_errors(json.load(file)):
                yield f"{name}: {error.json_path}: {error.message}"


def spdx(name):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    for message in validate_full_spdx_document(parse_file(name), "SPDX-2.3"):
        yield f"{message.context.spdx_id}: {message.validation_message}"


def cyclonedx(name):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(name) as file:
        for error in JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read(), all_errors=True) or ():
            yield str(error)


def provenance(name):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1 import statement_pb2

    with open(name) as file:
        text = file.read()
    try:
        message = json_format.Parse(text, statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
        predicate = json_format.MessageToDict(message.predicate)
        json_format.ParseDict(predicate, provenance_pb2.Provenance())
    except (ValueError, json_format.ParseError) as error:
        yield str(error)


JUDGES = {judge.__name__: judge for judge in (schema, spdx, cyclonedx, provenance)}

if __name__ == "__main__":
    problems = list(JUDGES[sys.argv[1]](*sys.argv[2:]))
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
