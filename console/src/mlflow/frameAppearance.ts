// SPDX-License-Identifier: Apache-2.0
// How MLflow's UI looks in the frame: the portal's theme, and no assistant.
//
// The frame has the portal's origin, so both see the same `localStorage` and the portal may style the frame's document.
// Names are those of MLflow 3.17; where another version has other ones, it only looks different.
import type { Theme } from '../shell/theme';

/** MLflow's assistant runs commands on MLflow's own host, and the bridge refuses its calls. */
const HIDDEN_CSS = `
  [data-assistant-ui], [data-component-id^="mlflow.assistant"], .mlflow-bridge-hidden { display: none !important; }
`;

const ASSISTANT_SETTINGS = {
  'mlflow.assistant.panelOpen_v1': 'false',
  'mlflow.assistant.fab.autoOpenedOnFirstLoad_v1': 'true',
};

/** Stores what MLflow's UI reads when it loads. */
export function storeFrameSettings(theme: Theme): void {
  const dark = theme === 'dark';
  try {
    localStorage.setItem('_mlflow_dark_mode_toggle_enabled', String(dark));
    localStorage.setItem('databricks-dark-mode-pref', theme);
    for (const [name, value] of Object.entries(ASSISTANT_SETTINGS)) localStorage.setItem(name, value);
  } catch {
    // The browser stores nothing; MLflow's UI then looks as it does by itself.
  }
}

/** Hides the assistant in the frame's document, now and when it appears later. Returns a function that stops it. */
export function hideAssistant(frame: Window & typeof globalThis): () => void {
  const { document: frameDocument } = frame;
  const styleSheet = new frame.CSSStyleSheet();
  styleSheet.replaceSync(HIDDEN_CSS);
  frameDocument.adoptedStyleSheets = [...frameDocument.adoptedStyleSheets, styleSheet];
  const hide = () => {
    for (const button of frameDocument.querySelectorAll('[role="button"][aria-pressed]:not(.mlflow-bridge-hidden)')) {
      // The button beside an experiment has no id or class of its own, so only its text identifies it.
      if (/^Assistant\s*(Beta)?$/.test(button.textContent ?? '')) {
        (button.parentElement ?? button).classList.add('mlflow-bridge-hidden');
      }
    }
  };
  hide();
  const observer = new frame.MutationObserver(hide);
  observer.observe(frameDocument.documentElement, { childList: true, subtree: true });
  return () => observer.disconnect();
}
