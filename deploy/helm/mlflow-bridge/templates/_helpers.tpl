{{/* Names and labels of one kind of process. Call: (dict "root" $ "component" "api") */}}
{{- define "mlflow-bridge.name" -}}
{{ printf "%s-%s" (.root.Release.Name | trunc 50 | trimSuffix "-") .component }}
{{- end }}

{{- define "mlflow-bridge.selector" -}}
app.kubernetes.io/name: mlflow-bridge
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "mlflow-bridge.labels" -}}
{{ include "mlflow-bridge.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "mlflow-bridge.serviceAccount" -}}
{{ (index .root.Values .component).serviceAccount.name | default (include "mlflow-bridge.name" .) }}
{{- end }}

{{/* The environment of every process: the bridge refuses to start with a setting that it does not know. */}}
{{- define "mlflow-bridge.environment" -}}
{{- $settings := dict
      "BRIDGE_UPSTREAM" .Values.upstream
      "BRIDGE_AUTH" .Values.auth
      "BRIDGE_TRUSTED_PROXIES" (.Values.trustedProxies | toString)
      "BRIDGE_HOST" "0.0.0.0"
      "BRIDGE_PORT" "8080"
      "BRIDGE_SHUTDOWN_DELAY" (printf "%ds" (int .Values.shutdown.delaySeconds))
      "BRIDGE_SHUTDOWN_TIMEOUT" (printf "%ds" (int .Values.shutdown.timeoutSeconds)) }}
{{- if .Values.region }}{{ $_ := set $settings "AWS_REGION" .Values.region }}{{ end }}
{{- $secrets := dict "BRIDGE_STORE_URL" .Values.store.secret "BRIDGE_BROKER_URL" .Values.broker.secret }}
{{- range $name, $value := merge $settings .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $secret := merge $secrets .Values.secretSettings }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $secret.key }}
{{- end }}
{{- end }}

{{/* What both kinds of pods share around their containers: read-only, unprivileged, spread over zones. */}}
{{- define "mlflow-bridge.pod" -}}
serviceAccountName: {{ include "mlflow-bridge.serviceAccount" . }}
# The bridge does not use the API of Kubernetes. Tokens for AWS are mounted all the same.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mlflow-bridge.selector" . | nindent 8 }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ (index .root.Values .component).tmpSize }}
{{- end }}

{{- define "mlflow-bridge.container" -}}
image: {{ printf "%s@%s" .root.Values.image.repository .root.Values.image.digest | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml (index .root.Values .component).resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
env:
  {{- include "mlflow-bridge.environment" .root | trim | nindent 2 }}
{{- end }}
