// SPDX-License-Identifier: Apache-2.0
// Creates, rotates or revokes a key: the dialog, then a new sign-in where the bridge asks for one, then the new key.
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { RevokeDialog, RotateDialog } from './KeyChangeDialog';
import { createKey, type KeyOrder, revokeKey, rotateKey } from './keys';
import { CreatedKeyDialog } from './CreatedKeyDialog';
import { NewKeyDialog } from './NewKeyDialog';
import { needsNewSignIn, SignInAgain } from './SignInAgain';

interface CreateProps {
  client: string;
  onClose: () => void;
}

interface ChangeProps extends CreateProps {
  keyId: string;
}

/** With `gcTime` 0, no cache keeps a secret after its dialog is closed. The lists are requested again. */
function useChangeOptions() {
  const queryClient = useQueryClient();
  return { gcTime: 0, onSettled: () => void queryClient.invalidateQueries({ queryKey: ['ops'] }) };
}

export function CreateKey({ client, onClose }: CreateProps) {
  const create = useMutation({ mutationFn: (order: KeyOrder) => createKey(client, order), ...useChangeOptions() });
  if (create.data) return <CreatedKeyDialog newKey={create.data} onStored={onClose} />;
  if (needsNewSignIn(create.error)) return <SignInAgain mutation={create} />;
  return (
    <NewKeyDialog
      client={client}
      isPending={create.isPending}
      error={create.error}
      onCreate={create.mutate}
      onClose={onClose}
    />
  );
}

export function RotateKey({ client, keyId, onClose }: ChangeProps) {
  const rotate = useMutation({ mutationFn: rotateKey, ...useChangeOptions() });
  if (rotate.data) return <CreatedKeyDialog newKey={rotate.data} onStored={onClose} />;
  if (needsNewSignIn(rotate.error)) return <SignInAgain mutation={rotate} />;
  return (
    <RotateDialog
      client={client}
      keyId={keyId}
      isPending={rotate.isPending}
      error={rotate.error}
      onRotate={(overlapSeconds) => rotate.mutate({ keyId, overlapSeconds })}
      onClose={onClose}
    />
  );
}

export function RevokeKey({ client, keyId, onClose }: ChangeProps) {
  const revoke = useMutation({ mutationFn: revokeKey, ...useChangeOptions(), onSuccess: onClose });
  if (needsNewSignIn(revoke.error)) return <SignInAgain mutation={revoke} />;
  return (
    <RevokeDialog
      client={client}
      keyId={keyId}
      isPending={revoke.isPending}
      error={revoke.error}
      onRevoke={() => revoke.mutate(keyId)}
      onClose={onClose}
    />
  );
}
