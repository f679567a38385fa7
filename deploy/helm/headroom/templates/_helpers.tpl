{{- define "headroom.name" -}}
{{- if contains "headroom" .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-headroom" (.Release.Name | trunc 44 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "headroom.serviceAccount" -}}
{{- default (include "headroom.name" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "headroom.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}

{{- define "headroom.selector" -}}
app.kubernetes.io/name: headroom
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "headroom.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: headroom
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: headroom
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The addresses that nodes, agents and headroomctl are given: one for each copy. */}}
{{- define "headroom.addresses" -}}
{{- $name := include "headroom.name" . }}
{{- $addresses := list }}
{{- range $copy := until (int .Values.replicas) }}
{{- $addresses = append $addresses (printf "%s-%d.%s.%s.svc:7600" $name $copy $name $.Release.Namespace) }}
{{- end }}
{{- join "," $addresses }}
{{- end }}
