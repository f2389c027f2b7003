"""`ModelMetrics` of NAS-Bench-101 (nasbench/lib/model_metrics.proto), in protocol buffers.

Half a page of descriptors instead of generated code, which is tied to one version of protobuf.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
EVALUATION_FIELDS = (
    "current_epoch",
    "training_time",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
)


def _model_metrics() -> type:
    file = descriptor_pb2.FileDescriptorProto(
        name="nngp_tf/model_metrics.proto", package="nasbench", syntax="proto2"
    )
    optional = {"label": _Field.LABEL_OPTIONAL}
    evaluation = file.message_type.add(name="EvaluationData")
    for number, name in enumerate(EVALUATION_FIELDS, start=1):
        evaluation.field.add(name=name, number=number, type=_Field.TYPE_DOUBLE, **optional)
    evaluation.field.add(name="checkpoint_path", number=6, type=_Field.TYPE_STRING, **optional)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data",
        number=1,
        type=_Field.TYPE_MESSAGE,
        type_name=".nasbench.EvaluationData",
        label=_Field.LABEL_REPEATED,
    )
    metrics.field.add(name="trainable_parameters", number=2, type=_Field.TYPE_INT32, **optional)
    metrics.field.add(name="total_time", number=3, type=_Field.TYPE_DOUBLE, **optional)
    # A pool of its own: the nasbench package registers the same names in the common one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


ModelMetrics = _model_metrics()
