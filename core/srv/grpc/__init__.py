"""The gRPC face: the Open Inference Protocol over grpcio, with health and reflection."""
