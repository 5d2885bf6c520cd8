// SPDX-License-Identifier: Apache-2.0
// The same thing as the page does, as a command and as a call of the API.
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { CodeBlock } from '../feedback/CodeBlock';

interface Props {
  /** The command line; absent where there is none. */
  command?: string;
  curl: string;
}

export function CommandPanel({ command, curl }: Props) {
  return (
    <ExpandableSection headerText="The same in a terminal">
      <SpaceBetween size="s">
        {command && <CodeBlock code={command} what="the command" />}
        <CodeBlock code={curl} what="the curl command" />
      </SpaceBetween>
    </ExpandableSection>
  );
}
