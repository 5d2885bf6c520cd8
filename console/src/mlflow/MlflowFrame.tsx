// SPDX-License-Identifier: Apache-2.0
// MLflow's own UI, whole width, in a frame of the same origin.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';

import { type Problem, ProblemError } from '../api/problem';
import { ErrorPanel } from '../feedback/ErrorPanel';
import { sessionQuery } from '../session/session';
import { useTheme } from '../shell/theme';
import { usePageTitle } from '../shell/usePageTitle';
import { hideAssistant, storeFrameSettings } from './frameAppearance';
import { frameProblem } from './frameProblem';
import { frameAddress, framePlace, keepPlace, watchPlace } from './framePlace';

/** How long after a failure MLflow's UI is asked for again. */
const RETRY_MS = 10_000;

/** Loads MLflow's UI at its first visit, and keeps it while other pages of the portal are shown. */
export function MlflowFrame({ visible }: { visible: boolean }) {
  const [visited, setVisited] = useState(visible);
  if (visible && !visited) setVisited(true);
  return visited ? <Frame visible={visible} /> : null;
}

function Frame({ visible }: { visible: boolean }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [address] = useState(() => frameAddress(framePlace()));
  const { loads, problem } = useLoads(frame);
  useSignedOutFrame(frame);
  useFrameTheme(frame);
  useMirroredPlace(frame, loads, visible);
  useEffect(() => {
    const inner = innerWindow(frame.current);
    return inner ? hideAssistant(inner) : undefined;
  }, [loads]);
  return (
    <>
      {visible && <FrameTitle />}
      {visible && problem && (
        <div className="page">
          <ErrorPanel error={new ProblemError(problem)} onRetry={() => innerWindow(frame.current)?.location.reload()} />
        </div>
      )}
      <iframe ref={frame} src={address} title="MLflow" className="mlflow-frame" hidden={!visible || problem !== null} />
    </>
  );
}

function FrameTitle() {
  usePageTitle('Experiments');
  return <h1 className="visually-hidden">Experiments</h1>;
}

interface Loads {
  count: number;
  problem: Problem | null;
}

/** Returns how often the frame has loaded a document, and the problem that the latest one states in MLflow's place. */
function useLoads(frame: React.RefObject<HTMLIFrameElement | null>): { loads: number; problem: Problem | null } {
  const [{ count, problem }, setLoads] = useState<Loads>({ count: 0, problem: null });
  useEffect(() => {
    const element = frame.current;
    const loaded = () =>
      setLoads((before) => ({ count: before.count + 1, problem: frameProblem(element?.contentDocument ?? null) }));
    element?.addEventListener('load', loaded);
    return () => element?.removeEventListener('load', loaded);
  }, [frame]);
  useEffect(() => {
    if (!problem) return;
    const timer = setTimeout(() => innerWindow(frame.current)?.location.reload(), RETRY_MS);
    return () => clearTimeout(timer);
  }, [count, problem, frame]);
  return { loads: count, problem };
}

/** The message of the page that the bridge shows in a frame after the session's end. */
const SIGNED_OUT_MESSAGE = 'mlflow-bridge:signed-out';

/** Asks for the session when the frame reports its end, and loads MLflow's UI again after the next sign-in. */
function useSignedOutFrame(frame: React.RefObject<HTMLIFrameElement | null>): void {
  const queryClient = useQueryClient();
  const { data: signedIn } = useQuery({ ...sessionQuery, select: (session) => session.signed_in });
  const reported = useRef(false);
  useEffect(() => {
    const received = ({ origin, data }: MessageEvent<unknown>) => {
      if (origin !== window.location.origin || !isSignedOutMessage(data)) return;
      reported.current = true;
      void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
    };
    window.addEventListener('message', received);
    return () => window.removeEventListener('message', received);
  }, [queryClient]);
  useEffect(() => {
    if (!signedIn || !reported.current) return;
    reported.current = false;
    innerWindow(frame.current)?.location.reload();
  }, [frame, signedIn]);
}

function isSignedOutMessage(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'type' in data && data.type === SIGNED_OUT_MESSAGE;
}

/** Writes the frame's place to the portal's address, and a place that is opened in the portal to the frame. */
function useMirroredPlace(frame: React.RefObject<HTMLIFrameElement | null>, loads: number, visible: boolean): void {
  useEffect(() => {
    const inner = visible ? frame.current?.contentWindow : null;
    if (!inner || loads === 0) return;
    return watchPlace(inner, (place) => {
      keepPlace(place);
      if (window.location.hash !== place) window.history.replaceState(window.history.state, '', place);
    });
  }, [frame, loads, visible]);
  useEffect(() => {
    if (!visible) return;
    const follow = () => {
      const place = window.location.hash;
      if (keepPlace(place)) frame.current?.contentWindow?.location.replace(frameAddress(place));
    };
    follow();
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, [frame, visible]);
}

/** Loads MLflow's UI again when the theme changes: it reads the theme only then. */
function useFrameTheme(frame: React.RefObject<HTMLIFrameElement | null>): void {
  const theme = useTheme();
  const shown = useRef(theme);
  // Before the frame's first request, which an effect would be too late for.
  useState(() => storeFrameSettings(theme));
  useEffect(() => {
    if (shown.current === theme) return;
    shown.current = theme;
    storeFrameSettings(theme);
    innerWindow(frame.current)?.location.reload();
  }, [frame, theme]);
}

/** Returns the window of the frame's document, null where that is of another origin. */
function innerWindow(element: HTMLIFrameElement | null): (Window & typeof globalThis) | null {
  return element?.contentDocument ? (element.contentWindow as Window & typeof globalThis) : null;
}
