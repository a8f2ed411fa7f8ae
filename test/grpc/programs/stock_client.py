"""A gRPC client as anybody would write it: nothing but protoc's output, a certificate and a key.

stock_client.py MODULES ADDRESS SERVER_NAME CA CERTIFICATE KEY COMMAND [ARGUMENT]   (CERTIFICATE and KEY may be "")
One JSON line for each thing that happens.
"""

import json
import sys

modules, address, server_name, ca, certificate, key, command, *arguments = sys.argv[1:]
sys.path.insert(0, modules)

import grpc
from gatehouse.v1 import approvals_pb2, health_pb2, vault_pb2
from standard import health_pb2 as standard_pb2


def say(**what):
    print(json.dumps(what), flush=True)


def read(path):
    if path == "":
        return None
    with open(path, "rb") as file:
        return file.read()


def open_channel():
    identity = grpc.ssl_channel_credentials(read(ca), read(key), read(certificate))
    return grpc.secure_channel(address, identity, [("grpc.ssl_target_name_override", server_name)])


def unary(channel, path, request, response_type):
    call = channel.unary_unary(path, type(request).SerializeToString, response_type.FromString)
    return call(request, timeout=5)


def get(channel):
    answer = unary(channel, "/gatehouse.v1.Vault/Get", vault_pb2.VaultGetRequest(path=arguments[0]), vault_pb2.VaultGetResponse)
    say(value=answer.value.decode())


def ping(channel):
    answer = unary(channel, "/gatehouse.v1.Health/Ping", health_pb2.PingRequest(payload=b"hi"), health_pb2.PingResponse)
    say(payload=answer.payload.decode())


def check(channel):
    request = standard_pb2.HealthCheckRequest(service=arguments[0])
    answer = unary(channel, "/grpc.health.v1.Health/Check", request, standard_pb2.HealthCheckResponse)
    say(status=standard_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def watch(channel):
    request_type = approvals_pb2.ApprovalsWatchRequest
    call = channel.unary_stream(
        "/gatehouse.v1.Approvals/Watch", request_type.SerializeToString, approvals_pb2.ApprovalsUpdate.FromString
    )
    for update in call(request_type(), timeout=20):
        say(revision=update.revision)


with open_channel() as channel:
    try:
        {"get": get, "ping": ping, "check": check, "watch": watch}[command](channel)
    except grpc.RpcError as failure:
        trailers = {key: value for key, value in failure.trailing_metadata() or ()}
        say(
            failed=failure.code().name,
            details=failure.details(),
            code=trailers.get("gatehouse-code", ""),
            hint=trailers.get("gatehouse-hint", ""),
        )
