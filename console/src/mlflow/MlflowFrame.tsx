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
import { frameAddress, framePlace, storePlace, watchPlace } from './framePlace';

/** How long after a failure MLflow's UI is loaded again. */
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
  const { count: loads, problem } = useFrameLoads(frame);
  useSignedOutFrame(frame);
  useFrameTheme(frame);
  useMirroredPlace(frame, loads, visible);
  useEffect(() => {
    const frameWindow = windowOf(frame.current);
    return frameWindow ? hideAssistant(frameWindow) : undefined;
  }, [loads]);
  return (
    <>
      {visible && <FrameTitle />}
      {visible && problem && (
        <div className="page">
          <ErrorPanel error={new ProblemError(problem)} onRetry={() => windowOf(frame.current)?.location.reload()} />
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

interface FrameLoads {
  /** How often the frame has loaded a document. */
  count: number;
  /** The problem that the latest document states in MLflow's place. */
  problem: Problem | null;
}

/** Counts the documents that the frame loads, and loads MLflow's UI again some time after a failure. */
function useFrameLoads(frame: React.RefObject<HTMLIFrameElement | null>): FrameLoads {
  const [{ count, problem }, setLoads] = useState<FrameLoads>({ count: 0, problem: null });
  useEffect(() => {
    const element = frame.current;
    const onLoad = () =>
      setLoads((previous) => ({ count: previous.count + 1, problem: frameProblem(element?.contentDocument ?? null) }));
    element?.addEventListener('load', onLoad);
    return () => element?.removeEventListener('load', onLoad);
  }, [frame]);
  useEffect(() => {
    if (!problem) return;
    const timer = setTimeout(() => windowOf(frame.current)?.location.reload(), RETRY_MS);
    return () => clearTimeout(timer);
  }, [count, problem, frame]);
  return { count, problem };
}

/** The message of the page that the bridge shows in a frame after the session's end. */
const SIGNED_OUT_MESSAGE = 'mlflow-bridge:signed-out';

/** Asks for the session when the frame reports its end, and loads MLflow's UI again after the next sign-in. */
function useSignedOutFrame(frame: React.RefObject<HTMLIFrameElement | null>): void {
  const queryClient = useQueryClient();
  const { data: signedIn } = useQuery({ ...sessionQuery, select: (session) => session.signed_in });
  const hasReportedEnd = useRef(false);
  useEffect(() => {
    const onMessage = ({ origin, data }: MessageEvent<unknown>) => {
      if (origin !== window.location.origin || !isSignedOutMessage(data)) return;
      hasReportedEnd.current = true;
      void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
    };
    window.addEventListener('message', onMessage);
    return () => window.removeEventListener('message', onMessage);
  }, [queryClient]);
  useEffect(() => {
    if (!signedIn || !hasReportedEnd.current) return;
    hasReportedEnd.current = false;
    windowOf(frame.current)?.location.reload();
  }, [frame, signedIn]);
}

function isSignedOutMessage(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'type' in data && data.type === SIGNED_OUT_MESSAGE;
}

/** Writes the frame's place to the portal's address, and a place that is opened in the portal to the frame. */
function useMirroredPlace(frame: React.RefObject<HTMLIFrameElement | null>, loads: number, visible: boolean): void {
  useEffect(() => {
    const frameWindow = visible ? frame.current?.contentWindow : null;
    if (!frameWindow || loads === 0) return;
    return watchPlace(frameWindow, (place) => {
      storePlace(place);
      if (window.location.hash !== place) window.history.replaceState(window.history.state, '', place);
    });
  }, [frame, loads, visible]);
  useEffect(() => {
    if (!visible) return;
    const onHashChange = () => {
      const place = window.location.hash;
      if (storePlace(place)) frame.current?.contentWindow?.location.replace(frameAddress(place));
    };
    onHashChange();
    window.addEventListener('hashchange', onHashChange);
    return () => window.removeEventListener('hashchange', onHashChange);
  }, [frame, visible]);
}

/** Loads MLflow's UI again when the theme changes: it reads the theme only then. */
function useFrameTheme(frame: React.RefObject<HTMLIFrameElement | null>): void {
  const theme = useTheme();
  const loadedTheme = useRef(theme);
  // An effect runs after the frame's first request, an initial state during the first rendering.
  useState(() => storeFrameSettings(theme));
  useEffect(() => {
    if (loadedTheme.current === theme) return;
    loadedTheme.current = theme;
    storeFrameSettings(theme);
    windowOf(frame.current)?.location.reload();
  }, [frame, theme]);
}

/** Returns the window of the frame; null while its document is of another origin. */
function windowOf(element: HTMLIFrameElement | null): (Window & typeof globalThis) | null {
  return element?.contentDocument ? (element.contentWindow as Window & typeof globalThis) : null;
}
