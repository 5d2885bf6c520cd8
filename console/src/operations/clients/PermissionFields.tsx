// SPDX-License-Identifier: Apache-2.0
// The form fields for the permissions and limits of a client.
import Checkbox from '@cloudscape-design/components/checkbox';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Multiselect, { type MultiselectProps } from '@cloudscape-design/components/multiselect';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { requestJson } from '../../api/request';
import { type ActionDocument, QUOTA_NAMES, type Scope } from './clients';
import { type PermissionForm, problemsOf, QUOTA_LABELS } from './permissionForm';

interface Props {
  form: PermissionForm;
  onChange: (form: PermissionForm) => void;
  disabled?: boolean;
}

const SCOPES: { scope: Scope; text: string; description: string }[] = [
  { scope: 'write', text: 'Write', description: 'log runs, metrics, artifacts and traces. No deletes.' },
  { scope: 'read', text: 'Read', description: 'read all of that, the registry and the UI.' },
  { scope: 'admin', text: 'Admin', description: 'everything, with the actions of operators.' },
];

/** Fetches all actions once: they change with the version of the bridge only. */
export function useActions(): ActionDocument[] {
  const { data } = useQuery({
    queryKey: ['ops', '/v1/actions'],
    queryFn: ({ signal }) => requestJson<{ actions: ActionDocument[] }>('/v1/actions', { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data?.actions ?? [];
}

export function PermissionFields({ form, onChange, disabled = false }: Props) {
  const problems = problemsOf(form);
  const change = (changes: Partial<PermissionForm>) => onChange({ ...form, ...changes });
  return (
    <SpaceBetween size="m">
      <FormField label="Scopes">
        <SpaceBetween size="xs">
          {SCOPES.map(({ scope, text, description }) => (
            <Checkbox
              key={scope}
              disabled={disabled}
              checked={form.scopes.includes(scope)}
              onChange={({ detail }) => change({ scopes: withScope(form.scopes, scope, detail.checked) })}
            >
              {text}: <span className="scope-description">{description}</span>
            </Checkbox>
          ))}
        </SpaceBetween>
      </FormField>
      <ColumnLayout columns={2}>
        <ActionField
          label="Allowed by name"
          description="Beyond the scopes."
          chosen={form.allow}
          disabled={disabled}
          onChange={(allow) => change({ allow, deny: form.deny.filter((each) => !allow.includes(each)) })}
        />
        <ActionField
          label="Denied by name"
          description="Counts before scopes and what is allowed."
          chosen={form.deny}
          disabled={disabled}
          onChange={(deny) => change({ deny, allow: form.allow.filter((each) => !deny.includes(each)) })}
        />
      </ColumnLayout>
      <FormField label="Experiments" errorText={problems.experiments ?? ''}>
        <SpaceBetween size="xs">
          <Checkbox
            disabled={disabled}
            checked={form.isLimited}
            onChange={({ detail }) => change({ isLimited: detail.checked })}
          >
            Limited to certain experiments
          </Checkbox>
          {form.isLimited && (
            <Input
              ariaLabel="Ids of the experiments"
              placeholder="7, 12"
              disabled={disabled}
              value={form.experiments}
              onChange={({ detail }) => change({ experiments: detail.value })}
            />
          )}
        </SpaceBetween>
      </FormField>
      <ColumnLayout columns={3}>
        {QUOTA_NAMES.map((name) => (
          <FormField key={name} label={QUOTA_LABELS[name]} errorText={problems[name] ?? ''}>
            <Input
              name={`quota-${name}`}
              placeholder="default"
              disabled={disabled}
              value={form.quota[name]}
              onChange={({ detail }) => change({ quota: { ...form.quota, [name]: detail.value } })}
            />
          </FormField>
        ))}
      </ColumnLayout>
      <div>Limits: empty is the default of the settings, 0 is no limit.</div>
    </SpaceBetween>
  );
}

interface ActionFieldProps {
  label: string;
  description: string;
  chosen: string[];
  disabled: boolean;
  onChange: (actions: string[]) => void;
}

function ActionField({ label, description, chosen, disabled, onChange }: ActionFieldProps) {
  const options = actionOptions(useActions());
  return (
    <FormField label={label} description={description}>
      <Multiselect
        filteringType="auto"
        filteringAriaLabel="Search the actions"
        placeholder="None"
        tokenLimit={8}
        disabled={disabled}
        options={options}
        selectedOptions={chosen.map((action) => ({ value: action, label: action }))}
        onChange={({ detail }) => onChange(detail.selectedOptions.flatMap(({ value }) => value ?? []))}
      />
    </FormField>
  );
}

/** Returns the actions as groups: those of the bridge, which operators need, and MLflow's. */
export function actionOptions(actions: ActionDocument[]): MultiselectProps.OptionGroup[] {
  const optionsOf = (owner: ActionDocument['of']) =>
    actions
      .filter((each) => each.of === owner)
      .map(({ action, scope }) => ({
        value: action,
        label: action,
        description: scope ? `scope ${scope}` : 'by name',
      }));
  return [
    { label: "The bridge's own", options: optionsOf('bridge') },
    { label: "MLflow's", options: optionsOf('mlflow') },
  ];
}

function withScope(scopes: Scope[], scope: Scope, isChosen: boolean): Scope[] {
  return SCOPES.map((each) => each.scope).filter((each) => (each === scope ? isChosen : scopes.includes(each)));
}
