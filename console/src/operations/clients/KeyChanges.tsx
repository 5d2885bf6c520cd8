// SPDX-License-Identifier: Apache-2.0
// Makes, rotates or revokes a key: the dialog, then a new sign-in where it is needed, then the new key.
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { RevokeDialog, RotateDialog } from './KeyChangeDialog';
import { createKey, type KeyOrder, revokeKey, rotateKey } from './keys';
import { KeyShown } from './KeyShown';
import { NewKeyDialog } from './NewKeyDialog';
import { needsSignIn, SignInAgain } from './SignInAgain';

interface MakeProps {
  client: string;
  onClose: () => void;
}

interface ChangeProps extends MakeProps {
  keyId: string;
}

/** Nothing keeps a secret beyond the dialog that shows it, and lists are asked for again. */
function useChangeOptions() {
  const queryClient = useQueryClient();
  return { gcTime: 0, onSettled: () => void queryClient.invalidateQueries({ queryKey: ['ops'] }) };
}

export function MakeKey({ client, onClose }: MakeProps) {
  const make = useMutation({ mutationFn: (order: KeyOrder) => createKey(client, order), ...useChangeOptions() });
  if (make.data) return <KeyShown made={make.data} onStored={onClose} />;
  if (needsSignIn(make.error)) return <SignInAgain asked={make} />;
  return (
    <NewKeyDialog
      client={client}
      isPending={make.isPending}
      error={make.error}
      onMake={make.mutate}
      onClose={onClose}
    />
  );
}

export function RotateKey({ client, keyId, onClose }: ChangeProps) {
  const rotate = useMutation({ mutationFn: rotateKey, ...useChangeOptions() });
  if (rotate.data) return <KeyShown made={rotate.data} onStored={onClose} />;
  if (needsSignIn(rotate.error)) return <SignInAgain asked={rotate} />;
  return (
    <RotateDialog
      client={client}
      keyId={keyId}
      isPending={rotate.isPending}
      error={rotate.error}
      onRotate={(overlap) => rotate.mutate({ keyId, overlap })}
      onClose={onClose}
    />
  );
}

export function RevokeKey({ client, keyId, onClose }: ChangeProps) {
  const revoke = useMutation({ mutationFn: revokeKey, ...useChangeOptions(), onSuccess: onClose });
  if (needsSignIn(revoke.error)) return <SignInAgain asked={revoke} />;
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
