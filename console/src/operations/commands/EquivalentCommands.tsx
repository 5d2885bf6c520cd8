// SPDX-License-Identifier: Apache-2.0
// What a page or a dialog does, as a command of the bridge and for curl.
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { CodeBlock } from '../../feedback/CodeBlock';
import { type ApiCall, curlOf } from './curl';

interface Props {
  /** The command line, `mlflow-bridge …`; absent where no command does the same. */
  command?: string;
  call: ApiCall;
  /** Whether it is open from the start, as in dialogs. */
  open?: boolean;
}

export function EquivalentCommands({ command, call, open = false }: Props) {
  return (
    <ExpandableSection headerText="The same as a command" defaultExpanded={open}>
      <SpaceBetween size="xs">
        {command && <CodeBlock code={command} label="the command" />}
        <CodeBlock code={curlOf(call, window.location.origin)} label="the curl command" />
      </SpaceBetween>
    </ExpandableSection>
  );
}
