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

{{- define "autotrain.serviceAccount" -}}
{{- default (ternary (include "autotrain.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Labels that never change, for selectors. */}}
{{- define "autotrain.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "autotrain.labels" -}}
{{ include "autotrain.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: autotrain
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image's name, from (list $ .Values.image): the digest wins over the tag, which is the appVersion by default. */}}
{{- define "autotrain.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) -}}
{{- end -}}
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
