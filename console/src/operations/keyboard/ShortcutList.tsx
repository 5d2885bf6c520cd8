// SPDX-License-Identifier: Apache-2.0
// The list of keys, with the switch that turns single keys off.
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Toggle from '@cloudscape-design/components/toggle';

import { SHORTCUTS } from './shortcuts';
import { setSingleKeys, useSingleKeys } from './singleKeys';

export function ShortcutList({ onClose }: { onClose: () => void }) {
  const on = useSingleKeys();
  return (
    <Modal visible header="Keys" onDismiss={onClose}>
      <SpaceBetween size="m">
        <Toggle checked={on} onChange={({ detail }) => setSingleKeys(detail.checked)}>
          Single keys do something outside of fields
        </Toggle>
        <dl className="shortcuts">
          {SHORTCUTS.map(({ keys, effect }) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{effect}</dd>
            </div>
          ))}
        </dl>
      </SpaceBetween>
    </Modal>
  );
}
