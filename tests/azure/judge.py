"""What the official library for Azure Blob Storage says of an account: judge.py ENDPOINT ACCOUNT KEY COMMAND ARGUMENTS.

Answers with one JSON value. All blobs are in the container `images`.
"""

import datetime
import hashlib
import json
import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import (
    BlobLeaseClient,
    BlobServiceClient,
    ContainerSasPermissions,
    generate_container_sas,
)

CONTAINER = "images"
endpoint, account, key, command, *arguments = sys.argv[1:]
service = BlobServiceClient(endpoint, credential={"account_name": account, "account_key": key})


def blob(name):
    return service.get_blob_client(CONTAINER, name)


def joined(ranges):
    """Those that touch as one: a service may list them as they were written."""
    found = []
    for start, end in sorted(ranges):
        if found and found[-1][1] == start:
            found[-1][1] = end
        else:
            found.append([start, end])
    return found


def show(name):
    """What a blob is, and the digest of the bytes in its ranges, one after the other."""
    try:
        found = blob(name).get_blob_properties()
    except ResourceNotFoundError:
        return None
    ranges, digest = [], hashlib.sha256()
    if found.blob_type == "PageBlob":
        ranges = [[one["start"], one["end"] + 1] for one in blob(name).get_page_ranges()[0]]
    ranges = joined(ranges)
    for start, end in ranges:
        digest.update(blob(name).download_blob(start, end - start, max_concurrency=1).readall())
    return {
        "kind": found.blob_type,
        "size": found.size,
        "content-type": found.content_settings.content_type,
        "metadata": found.metadata,
        "lease": found.lease.state,
        "ranges": ranges,
        "sha256": digest.hexdigest(),
    }


def token(permissions, end):
    """A token for the container, valid until that time."""
    allowed = ContainerSasPermissions.from_string(permissions)
    expiry = datetime.datetime.fromisoformat(end)
    return generate_container_sas(account, CONTAINER, account_key=key, permission=allowed, expiry=expiry)


def lease(name, seconds):
    held = BlobLeaseClient(blob(name))
    held.acquire(lease_duration=int(seconds))
    return held.id


def write(name, offset, byte):
    blob(name).upload_page(bytes([int(byte)]) * 512, int(offset), 512)


COMMANDS = {
    "container": lambda: service.create_container(CONTAINER) and None,
    "show": show,
    "names": lambda: sorted(found.name for found in service.get_container_client(CONTAINER).list_blobs()),
    "token": token,
    "lease": lease,
    "break": lambda name: BlobLeaseClient(blob(name)).break_lease(lease_break_period=0),
    "write": write,
    "page-blob": lambda name, size: blob(name).create_page_blob(int(size)) and None,
    "block-blob": lambda name, text: blob(name).upload_blob(text) and None,
}
print(json.dumps(COMMANDS[command](*arguments)))
