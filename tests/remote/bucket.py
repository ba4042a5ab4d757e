"""Makes a user with a key and a bucket in an S3 service of the tests: bucket.py ENDPOINT NAME. Prints the key's two parts.

The service takes these four requests from anybody and wants signatures from then on.
"""

import json
import sys

import boto3

endpoint, name = sys.argv[1:]
nobody = {
    "endpoint_url": endpoint,
    "region_name": "us-east-1",
    "aws_access_key_id": "nobody",
    "aws_secret_access_key": "nobody",
}
iam = boto3.client("iam", **nobody)
iam.create_user(UserName="builder")
everything_there = {
    "Effect": "Allow",
    "Action": "s3:*",
    "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
}
policy = json.dumps({"Version": "2012-10-17", "Statement": [everything_there]})
iam.put_user_policy(UserName="builder", PolicyName="steps", PolicyDocument=policy)
key = iam.create_access_key(UserName="builder")["AccessKey"]
boto3.client("s3", **nobody).create_bucket(Bucket=name)
print(key["AccessKeyId"], key["SecretAccessKey"])
