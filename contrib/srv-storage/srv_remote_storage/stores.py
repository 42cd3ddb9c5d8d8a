"""Stores of obstore, opened with the credentials and endpoints of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from srv.storage import FetchFailed, NoAccess

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3CredentialProvider

#: Variables that name an endpoint. One of http:// is spoken to without TLS, because whoever set it wrote it so.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_ADDRESS = re.compile(r"https?://[^\s/?#]")
RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


def open_store(scheme: str, bucket: str, account: str | None) -> ObjectStore:
    """Return the store of a bucket. Nothing is asked yet. Raises obstore's errors where the environment does not do."""
    options = client_options(allow_http=_speaks_http(_ENDPOINTS[scheme]))
    if scheme == "s3":
        profile = _aws_profile()
        return S3Store(bucket, client_options=options, retry_config=RETRIES, credential_provider=profile)
    if scheme == "gs":
        return GCSStore(bucket, client_options=options, retry_config=RETRIES)
    if account:
        return AzureStore(bucket, account_name=account, client_options=options, retry_config=RETRIES)
    return AzureStore(bucket, client_options=options, retry_config=RETRIES)


def client_options(*, allow_http: bool) -> ClientConfig:
    """Return the options of each store's HTTP client: what stands still is given up, what is slow is not."""
    return {
        "allow_http": allow_http,
        "connect_timeout": "5s",
        "read_timeout": "30s",
        "timeout": "24h",
    }


def _speaks_http(variables: Iterable[str]) -> bool:
    """Whether the endpoint that the environment names is one without TLS. Raises FetchFailed where it is no address."""
    for name in variables:
        if endpoint := os.environ.get(name):
            if not _ADDRESS.match(endpoint):
                raise FetchFailed(f"{name} is no address of a server: write https://HOST")
            return endpoint.startswith("http://")
    return False


def _aws_profile() -> S3CredentialProvider | None:
    """Return the credentials of ~/.aws, where boto3 is installed to read them and the environment has none itself."""
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_SKIP_SIGNATURE"):
        return None
    named = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    if not named and not Path("~/.aws").expanduser().is_dir():
        return None
    try:
        from boto3 import Session  # here, because it is an extra, and slow to import
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        if os.environ.get("AWS_PROFILE"):
            raise NoAccess("AWS_PROFILE is set, and boto3 reads profiles: run `pip install srv-storage[aws]`") from None
        return None
    try:
        session = Session()
        return Boto3CredentialProvider(session) if session.get_credentials() else None
    except BotoCoreError:
        profile = os.environ.get("AWS_PROFILE", "default")
        raise NoAccess(f"The AWS profile '{profile}' cannot be used. Try `aws sts get-caller-identity`") from None
