"""Wait for the store and create MLflow's bucket, before MLflow starts.

Environment: AWS keys, MLFLOW_S3_ENDPOINT_URL, MODELYARD_BUCKET.
"""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

endpoint, bucket = os.environ["MLFLOW_S3_ENDPOINT_URL"], os.environ["MODELYARD_BUCKET"]
region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
permanent = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidBucketName")
settings = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"max_attempts": 1},
    s3={"addressing_style": "path"},
)
store = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=settings)
deadline = time.monotonic() + 120
while True:
    try:
        store.create_bucket(Bucket=bucket)
        print(f"created bucket {bucket}")
        break
    except (store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists):
        print(f"bucket {bucket} exists")
        break
    except (BotoCoreError, ClientError) as error:
        is_answer = isinstance(error, ClientError)
        code = error.response["Error"]["Code"] if is_answer else type(error).__name__
        if time.monotonic() > deadline or code in permanent:
            sys.exit(f"{endpoint} did not create bucket {bucket}: {code}")
        time.sleep(1)
