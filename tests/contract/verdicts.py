"""Good and bad TrainingJobs. Types and API server have to agree on each (test_verdicts.py, test_crd_verdicts.py)."""

import copy
from typing import Any, NamedTuple

Object = dict[str, Any]

SMALLEST: Object = {
    "apiVersion": "autotrain.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "flowers"},
    "spec": {
        "task": "Classification",
        "data": {"uri": "https://example.org/flowers.tgz"},
        "model": {"backbone": "resnet18"},
    },
}


class Case(NamedTuple):
    title: str
    changes: dict[str, Any]
    """Dotted path -> value; ABSENT takes the field away."""
    refused_at: str | None
    """The path that the refusal names, None for a good object."""

    def build(self) -> Object:
        made = copy.deepcopy(SMALLEST)
        for path, value in self.changes.items():
            *parents, last = path.split(".")
            place = made
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is ABSENT:
                del place[last]
            else:
                place[last] = value
        return made


ABSENT = object()

GOOD = [
    Case("the smallest object", {}, None),
    Case("a name of 50 characters", {"metadata.name": "a" * 50}, None),
    Case("a whole number written as 3.0", {"spec.training.epochs": 3.0}, None),
    Case("a fraction written as a whole number", {"spec.data.testFraction": 0}, None),
    Case("data on a claim", {"spec.data.uri": "pvc://pictures/flowers/2026"}, None),
    Case("data in the image", {"spec.data.uri": "file:///data"}, None),
    Case("data in a bucket", {"spec.data.uri": "s3://pictures/flowers/", "spec.data.secretRef": {"name": "s"}}, None),
    Case("data in another bucket", {"spec.data.uri": "gs://pictures/flowers.tgz"}, None),
    Case("data on the hub", {"spec.data.uri": "hf://datasets/owner/flowers@main"}, None),
    Case("downloads that are kept", {"spec.data.cache": {"claimName": "downloads"}}, None),
    Case("a pinned archive", {"spec.data.sha256": "0" * 64}, None),
    Case("columns of a table", {"spec.data.layout": "Csv", "spec.data.labelColumn": "species"}, None),
    Case("several labels", {"spec.task": "MultiLabelClassification", "spec.data.labelDelimiter": "|"}, None),
    Case("boxes", {"spec.task": "ObjectDetection", "spec.gate.metric": "mAP"}, None),
    Case(
        "boxes of one class in a table",
        {"spec.task": "ObjectDetection", "spec.data": {"uri": "pvc://a", "layout": "Csv", "classes": ["tree"]}},
        None,
    ),
    Case(
        "masks", {"spec.task": "Segmentation", "spec.gate.metric": "foregroundIoU", "spec.model.decoder": "Unet"}, None
    ),
    Case("a policy of timm", {"spec.augmentation.policy": "rand-m9-mstd0.5-inc1"}, None),
    Case("an end before the last epoch", {"spec.training.earlyStopping": {"patienceEpochs": 4}}, None),
    Case("weights to start from", {"spec.model.initialWeights": {"uri": "file:///weights.safetensors"}}, None),
    Case(
        "own functions",
        {
            "spec.functions.configMapRef": {"name": "own"},
            "spec.model.head": {"function": "wide", "args": {"width": 64}},
        },
        None,
    ),
    Case("classes in an order of their own", {"spec.data.classes": ["tulip", "rose"]}, None),
    Case("a test part", {"spec.data.test": "test"}, None),
    Case("a test fraction", {"spec.data.testFraction": 0.1}, None),
    Case("mean and std", {"spec.preprocessing": {"mean": [0.5, 0, 1], "std": [0.25, 1, 2.5]}}, None),
    Case("no GPU", {"spec.compute.gpusPerNode": 0}, None),
    Case("quantities as text and number", {"spec.compute.resources.limits": {"cpu": 2, "memory": "1.5Gi"}}, None),
    Case("an affinity of any form", {"spec.compute.affinity": {"nodeAffinity": {"x": [1]}}}, None),
    Case("environment", {"spec.compute.env": [{"name": "A", "value": "1"}, {"name": "B"}]}, None),
    Case(
        "environment from a Secret",
        {"spec.serving.env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        None,
    ),
    Case("toleration of every taint", {"spec.compute.tolerations": [{"operator": "Exists"}]}, None),
    Case("models on a claim", {"spec.output.uri": "pvc://models/vision"}, None),
    Case("models in a bucket", {"spec.output": {"uri": "s3://models/vision", "secretRef": {"name": "s"}}}, None),
    Case("models in another bucket", {"spec.output.uri": "gs://my_models"}, None),
    Case("models that go with the object", {"spec.output.reclaim": "Delete"}, None),
    Case("a gate", {"spec.gate": {"metric": "macroF1", "min": 0.9}}, None),
    Case("no replicas", {"spec.serving.replicas": 0}, None),
    Case("a pinned revision", {"spec.serving.revision": "v1-0123456789"}, None),
    Case("nothing served", {"spec.serving.enabled": False}, None),
    Case("eight bits when answering", {"spec.serving.precision": "Int8"}, None),
    Case("a GPU to answer with", {"spec.serving.gpus": 1}, None),
    Case("no batching at all", {"spec.serving.batching": {"maxSize": 1, "maxDelayMilliseconds": 0}}, None),
    Case("other words for classes", {"spec.serving.postprocessing.labels": {"n01440764": "tench"}}, None),
    Case("a body limit as a number", {"spec.serving.limits.maxBodyBytes": 1048576}, None),
    Case("names that say nothing", {"spec.compute": {"priorityClassName": "", "serviceAccountName": ""}}, None),
    Case(
        "labels of every form", {"spec.compute.labels": {"a": "", "example.org/A_b.c": "A-1.b_c", "x" * 63: "1"}}, None
    ),
    Case("a node by its labels", {"spec.serving.nodeSelector": {f"{'a' * 253}/zone": "x" * 63}}, None),
    Case("annotations of any text", {"spec.serving.annotations": {"Example.org/note": "ü, and more\n"}}, None),
]

BAD = [
    Case("an unknown field", {"spec.learningRate": 0.1}, "spec.learningRate"),
    Case("an unknown field deep down", {"spec.training.epoch": 3}, "spec.training.epoch"),
    Case("a Secret without a name", {"spec.data.secretRef": {}}, "spec.data.secretRef"),
    Case("a Secret whose name is empty", {"spec.data.secretRef": {"name": ""}}, "spec.data.secretRef"),
    Case("a cache without a claim", {"spec.data.cache": {}}, "spec.data.cache"),
    Case("a Secret for models on a claim", {"spec.output.secretRef": {"name": "s"}}, "spec.output"),
    Case("an upper-case name", {"metadata.name": "Flowers"}, "metadata.name"),
    Case("a name that starts with a digit", {"metadata.name": "3flowers"}, "<root>"),
    Case("a name with a dot", {"metadata.name": "my.flowers"}, "<root>"),
    Case("a name of 51 characters", {"metadata.name": "a" * 51}, "<root>"),
    Case("no task", {"spec.task": ABSENT}, "spec.task"),
    Case("an unknown task", {"spec.task": "Regression"}, "spec.task"),
    Case("no data", {"spec.data": ABSENT}, "spec.data"),
    Case("no uri", {"spec.data.uri": ABSENT}, "spec.data.uri"),
    Case("a uri without a scheme", {"spec.data.uri": "flowers.tgz"}, "spec.data.uri"),
    Case("a scheme nobody reads", {"spec.data.uri": "ftp://example.org/flowers.tgz"}, "spec.data.uri"),
    Case("half a digest", {"spec.data.sha256": "abc"}, "spec.data.sha256"),
    Case("an unknown layout", {"spec.data.layout": "Folder"}, "spec.data.layout"),
    Case("columns without a table", {"spec.data.labelColumn": "species"}, "spec"),
    Case("a test part and a fraction", {"spec.data.test": "test", "spec.data.testFraction": 0.1}, "spec.data"),
    Case("one class", {"spec.data.classes": ["rose"]}, "spec"),
    Case("the layout of another task", {"spec.data.layout": "Voc"}, "spec"),
    Case("a function from nowhere", {"spec.augmentation.function": "shadow"}, "spec"),
    Case("a policy that nobody has", {"spec.augmentation.policy": "random"}, "spec.augmentation.policy"),
    Case("a smoothing of everything", {"spec.training.labelSmoothing": 1}, "spec.training.labelSmoothing"),
    Case("no arguments of no function", {"spec.serving.postprocessing.args": {}}, "spec.serving.postprocessing"),
    Case("arguments of no function", {"spec.serving.postprocessing.args": {"a": 1}}, "spec.serving.postprocessing"),
    Case("a class twice", {"spec.data.classes": ["rose", "tulip", "rose"]}, "spec.data"),
    Case("all of it for validation", {"spec.data.validationFraction": 1}, "spec.data.validationFraction"),
    Case("none of it for validation", {"spec.data.validationFraction": 0}, "spec.data.validationFraction"),
    Case("no backbone", {"spec.model.backbone": ABSENT}, "spec.model.backbone"),
    Case("a tiny picture", {"spec.model.imageSize": 8}, "spec.model.imageSize"),
    Case("mean without std", {"spec.preprocessing.mean": [0.5, 0.5, 0.5]}, "spec.preprocessing"),
    Case("a std of nothing", {"spec.preprocessing": {"mean": [0, 0, 0], "std": [0, 1, 1]}}, "spec.preprocessing.std"),
    Case("two colours", {"spec.preprocessing": {"mean": [0, 0], "std": [1, 1]}}, "spec.preprocessing.mean"),
    Case("no epochs", {"spec.training.epochs": 0}, "spec.training.epochs"),
    Case("half an epoch", {"spec.training.epochs": 1.5}, "spec.training.epochs"),
    Case("epochs as text", {"spec.training.epochs": "3"}, "spec.training.epochs"),
    Case("a truth as text", {"spec.suspend": "no"}, "spec.suspend"),
    Case("a negative rate", {"spec.training.learningRate": -0.1}, "spec.training.learningRate"),
    Case("a rate of nothing", {"spec.training.learningRate": 0}, "spec.training.learningRate"),
    Case("batches of one", {"spec.training.batchSize": 1}, "spec.training.batchSize"),
    Case("a negative GPU", {"spec.compute.gpusPerNode": -1}, "spec.compute.gpusPerNode"),
    Case("a quantity in stones", {"spec.compute.resources.limits": {"memory": "2 stones"}}, "spec.compute.resources"),
    Case("a variable twice", {"spec.compute.env": [{"name": "A"}, {"name": "A"}]}, "spec.compute"),
    Case(
        "a variable with two values",
        {"spec.compute.env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        "spec.compute.env",
    ),
    Case("a variable from nowhere", {"spec.compute.env": [{"name": "A", "valueFrom": {}}]}, "spec.compute.env"),
    Case("a pod template", {"spec.compute.template": {}}, "spec.compute.template"),
    Case("models on a web server", {"spec.output.uri": "https://example.org/models"}, "spec.output.uri"),
    Case("models in no bucket", {"spec.output.uri": "s3:///models"}, "spec.output.uri"),
    Case("a bucket to be deleted", {"spec.output": {"uri": "s3://models", "reclaim": "Delete"}}, "spec.output"),
    Case(
        "somebody's claim to be deleted", {"spec.output": {"uri": "pvc://models", "reclaim": "Delete"}}, "spec.output"
    ),
    Case("no access mode", {"spec.output.storage.accessModes": []}, "spec.output.storage.accessModes"),
    Case("the gate metric of another task", {"spec.gate.metric": "mAP50"}, "spec"),
    Case("a gate in per cent", {"spec.gate.min": 90}, "spec.gate.min"),
    Case("negative replicas", {"spec.serving.replicas": -1}, "spec.serving.replicas"),
    Case("a revision that cannot be", {"spec.serving.revision": "v2"}, "spec.serving.revision"),
    Case("an unknown precision", {"spec.serving.precision": "Float8"}, "spec.serving.precision"),
    Case("GPUs below none", {"spec.serving.gpus": -1}, "spec.serving.gpus"),
    Case("more GPUs than a node has", {"spec.serving.gpus": 9}, "spec.serving.gpus"),
    Case("a batch of none", {"spec.serving.batching.maxSize": 0}, "spec.serving.batching.maxSize"),
    Case(
        "a wait for a batch below nothing",
        {"spec.serving.batching.maxDelayMilliseconds": -1},
        "spec.serving.batching.maxDelayMilliseconds",
    ),
    Case("answers without a class", {"spec.serving.postprocessing.topK": 0}, "spec.serving.postprocessing.topK"),
    Case("a wrong kind of list", {"spec.compute.tolerations": {"key": "a"}}, "spec.compute.tolerations"),
    *(
        Case(
            f"functions of {name!r}",
            {"spec.functions.configMapRef": {"name": name}},
            "spec.functions.configMapRef.name",
        )
        for name in ("../../kube-system/configmaps/coredns", "%2e%2e", "..", "", "own?limit=1", "Own")
    ),
    Case(
        "functions under a path",
        {"spec.functions.configMapRef": {"name": "own", "key": "../a.py"}},
        "spec.functions.configMapRef.key",
    ),
    Case(
        "functions that serve under no key",
        {"spec.functions.configMapRef": {"name": "own", "servingKey": ""}},
        "spec.functions.configMapRef.servingKey",
    ),
    Case("a claim with half an address", {"spec.data.uri": "pvc://[x"}, "spec.data.uri"),
    Case("a claim with a sign that is two", {"spec.data.uri": "pvc://data\u2100set"}, "spec.data.uri"),
    Case("weights on no claim", {"spec.model.initialWeights": {"uri": "pvc:///a"}}, "spec.model.initialWeights.uri"),
    Case("models on a claim that cannot be", {"spec.output.uri": "pvc://my_models"}, "spec.output.uri"),
    Case("a storage class by a path", {"spec.output.storage.storageClassName": "a/b"}, "spec.output.storage"),
    *(
        Case(f"{field} by a path", {f"spec.compute.{field}": "a/b"}, f"spec.compute.{field}")
        for field in ("priorityClassName", "runtimeClassName", "serviceAccountName")
    ),
    Case(
        "a pull secret by a path",
        {"spec.compute.imagePullSecrets": [{"name": "../a"}]},
        "spec.compute.imagePullSecrets",
    ),
    Case(
        "a variable from a key that cannot be",
        {"spec.serving.env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b c"}}}]},
        "spec.serving.env",
    ),
    Case("a label with an umlaut", {"spec.compute.labels": {"team": "Grün"}}, "spec.compute.labels"),
    Case("a label that ends in a dash", {"spec.serving.labels": {"team": "a-"}}, "spec.serving.labels"),
    Case("a node's label with a space", {"spec.compute.nodeSelector": {"pool": "a b"}}, "spec.compute.nodeSelector"),
]
CASES = GOOD + BAD
