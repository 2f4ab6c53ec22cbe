/* Reads Kubernetes objects as a JSON list from stdin, and holds each against the schema of its kind. */
import { readFileSync } from "node:fs";

import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";

const kinds = {
	"v1/ConfigMap": ConfigMap,
	"apps/v1/Deployment": Deployment,
	"keda.sh/v1alpha1/ScaledObject": ScaledObject,
	"keda.sh/v1alpha1/TriggerAuthentication": TriggerAuthentication,
};

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
	const kind = `${object.apiVersion}/${object.kind}`;
	new kinds[kind](object).validate();
	console.log(`${kind} ${object.metadata.name}`);
}
