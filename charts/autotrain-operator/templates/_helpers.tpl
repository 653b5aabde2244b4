{{/* Name of everything in this release: <release>-operator. */}}
{{- define "autotrain.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if hasSuffix "operator" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-operator" .Release.Name -}}
{{- end -}}
{{- end -}}

{{/* Names of cluster-scoped objects: a release of the same name may live in another namespace. */}}
{{- define "autotrain.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "autotrain.name" .) -}}
{{- end -}}

{{- define "autotrain.serviceAccount" -}}
{{- default (ternary (include "autotrain.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Labels that never change, for selectors. */}}
{{- define "autotrain.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "autotrain.labels" -}}
{{- with .Values.commonLabels }}{{ toYaml . }}
{{ end -}}
{{ include "autotrain.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: autotrain
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A part's image, from (list $ "operator" .Values.image): the digest wins over the tag, by default the appVersion. */}}
{{- define "autotrain.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 2 -}}
{{- $repository := default (printf "%s/%s" $root.Values.imagePrefix (index . 1)) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespace of `helm test`'s TrainingJob: the release's own if it is watched, or else the first that is. */}}
{{- define "autotrain.testNamespace" -}}
{{- $watched := default list .Values.watchNamespaces -}}
{{- ternary .Release.Namespace (first (append $watched .Release.Namespace)) (or (empty $watched) (has .Release.Namespace $watched)) -}}
{{- end -}}

{{/* Names of imagePullSecrets, as a JSON list. */}}
{{- define "autotrain.pullSecrets" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{- $names | toJson -}}
{{- end -}}

{{/* jobs.fsGroup in digits, empty when it is null; large numbers would print as 1e+09. */}}
{{- define "autotrain.fsGroup" -}}
{{- if not (kindIs "invalid" .Values.jobs.fsGroup) }}{{ int64 .Values.jobs.fsGroup }}{{ end -}}
{{- end -}}
