// SPDX-License-Identifier: Apache-2.0
// A new key, shown once.
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { CodeBlock } from '../../feedback/CodeBlock';
import { Moment } from '../moments/Moment';
import { type NewKey, usesOf } from './keys';

export function CreatedKeyDialog({ newKey, onStored }: { newKey: NewKey; onStored: () => void }) {
  const [isReminded, setIsReminded] = useState(false);
  return (
    <Modal
      visible
      size="large"
      header={`The new key of ${newKey.client}`}
      // The secret is in no later answer, so no stray click closes the dialog.
      onDismiss={() => setIsReminded(true)}
      footer={
        <Box float="right">
          <Button variant="primary" onClick={onStored}>
            I have stored it
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <Alert type="warning" header="It is shown only now">
          The bridge keeps no copy of the secret. Store it where the program finds it, then close this dialog with “I
          have stored it”.
        </Alert>
        {isReminded && <div role="alert">Store the key first: it cannot be shown again.</div>}
        <div>
          <strong>{newKey.kind === 'sigv4' ? 'AWS_SECRET_ACCESS_KEY' : 'The key'}</strong>
          <CodeBlock code={newKey.secret} label="the secret" />
        </div>
        <div>
          Id <code>{newKey.key_id}</code>, ends <Moment at={newKey.expires_at} full placeholder="never" />
        </div>
        {usesOf(newKey, window.location.origin).map(({ title, code }) => (
          <div key={title}>
            <strong>{title}</strong>
            <CodeBlock code={code} label={`the lines for ${title}`} />
          </div>
        ))}
      </SpaceBetween>
    </Modal>
  );
}
