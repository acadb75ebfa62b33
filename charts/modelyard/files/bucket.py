"""Waits for the store and makes MLflow's bucket, before MLflow starts. Environment: AWS keys, MLFLOW_S3_ENDPOINT_URL, MODELYARD_BUCKET."""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

endpoint, bucket = os.environ["MLFLOW_S3_ENDPOINT_URL"], os.environ["MODELYARD_BUCKET"]
settings = Config(connect_timeout=3, read_timeout=10, retries={"max_attempts": 1}, s3={"addressing_style": "path"})
store = boto3.client("s3", endpoint_url=endpoint, region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), config=settings)
deadline = time.monotonic() + 120
while True:
    try:
        store.create_bucket(Bucket=bucket)
        print(f"made bucket {bucket}")
        break
    except (store.exceptions.BucketAlreadyOwnedByYou, store.exceptions.BucketAlreadyExists):
        print(f"bucket {bucket} is there")
        break
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        if time.monotonic() > deadline or code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidBucketName"):
            sys.exit(f"{endpoint} did not make bucket {bucket}: {code}")
        time.sleep(1)
