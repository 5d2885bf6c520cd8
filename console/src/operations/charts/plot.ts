// SPDX-License-Identifier: Apache-2.0
// How uPlot draws lines over time.
import UPlot from 'uplot';

import { clockText, type Zone } from '../../api/time';
import type { Theme } from '../../shell/theme';
import { significant } from '../figures';
import type { Line, Values } from './series';

export const CHART_HEIGHT_PX = 180;
const TIME_AXIS_HEIGHT_PX = 30;
const VALUE_AXIS_WIDTH_PX = 56;
const MIN_TICK_DISTANCE_PX = 70;

/** A linear axis leaves this part free above the highest value, and ends here at least. */
const HEADROOM = 0.1;
const MIN_AXIS_END = 0.1;

/** Lines differ by colour and by their strokes. */
export type LineStyle = 'first' | 'second' | 'third' | 'fourth' | 'band';

export interface ChartLine extends Line {
  style: LineStyle;
}

interface ChartContent {
  times: number[];
  lines: ChartLine[];
  partial: boolean;
  log: boolean;
  band: ChartLine | undefined;
}

/** A logarithmic axis has no 0, so smaller values are drawn at this one. */
const MIN_LOG_VALUE = 0.01;

/**
 * Returns uPlot's columns: the times, two for each line, and the band.
 *
 * A line's first column has the minutes that have ended. The second has its last stretch to the running minute, which
 * is drawn dashed.
 */
export function chartData({ times, lines, partial, log, band }: ChartContent): UPlot.AlignedData {
  const columns = lines.flatMap(({ values }) => {
    const drawn = log ? values.map((value) => (value === null ? null : Math.max(value, MIN_LOG_VALUE))) : values;
    return partial ? [withoutRunningMinute(drawn), runningPart(drawn)] : [drawn, []];
  });
  return [times, ...columns, ...(band ? [band.values] : [])];
}

const withoutRunningMinute = (values: Values): Values =>
  values.map((value, index) => (index === values.length - 1 ? null : value));
const runningPart = (values: Values): Values =>
  values.map((value, index) => (index >= values.length - 2 ? value : null));

const COLOURS: Record<Theme, Record<LineStyle | 'text' | 'grid', string>> = {
  light: {
    first: '#0353c4',
    second: '#067f68',
    third: '#b0341f',
    fourth: '#8a5a00',
    band: '#b0341f33',
    text: '#424650',
    grid: '#e3e3e8',
  },
  dark: {
    first: '#75cfff',
    second: '#4fd8b4',
    third: '#ff9d8a',
    fourth: '#f2c14e',
    band: '#ff9d8a40',
    text: '#b4b4bb',
    grid: '#333d4a',
  },
};

const DASHES: Record<LineStyle, number[]> = {
  first: [],
  second: [8, 4],
  third: [2, 3],
  fourth: [10, 3, 2, 3],
  band: [],
};
const RUNNING_DASH = [3, 5];

/** uPlot's number for a logarithmic scale. */
const LOGARITHMIC = 3;

interface ChartAppearance {
  width: number;
  theme: Theme;
  zone: Zone;
  log: boolean;
  styles: string[];
}

export function chartOptions({ width, theme, zone, log, styles }: ChartAppearance): UPlot.Options {
  const colours = COLOURS[theme];
  const axis = {
    stroke: colours.text,
    grid: { stroke: colours.grid, width: 1 },
    ticks: { stroke: colours.grid, width: 1 },
  };
  return {
    width,
    height: CHART_HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    padding: [10, 16, 0, 0],
    scales: {
      x: { time: true },
      y: log
        ? { distr: LOGARITHMIC }
        : { range: (_chart, _lowest, highest) => [0, Math.max(highest * (1 + HEADROOM), MIN_AXIS_END)] },
      band: { range: [0, 1] },
    },
    axes: [
      {
        ...axis,
        size: TIME_AXIS_HEIGHT_PX,
        space: MIN_TICK_DISTANCE_PX,
        values: (_chart, splits) => splits.map((each) => clockText(each * 1000, zone).slice(0, 5)),
      },
      {
        ...axis,
        size: VALUE_AXIS_WIDTH_PX,
        values: (_chart, splits) => splits.map((each) => (each == null ? '' : significant(each))),
      },
    ],
    series: [{}, ...styles.flatMap((style) => seriesOf(style as LineStyle, colours))],
  };
}

function seriesOf(style: LineStyle, colours: Record<LineStyle, string>): UPlot.Series[] {
  if (style === 'band') {
    const paths = UPlot.paths.stepped?.({ align: 1 });
    return [{ scale: 'band', fill: colours.band, points: { show: false }, ...(paths && { paths }) }];
  }
  const line = { stroke: colours[style], width: 2, points: { show: false }, spanGaps: false };
  return [
    { ...line, dash: DASHES[style] },
    { ...line, dash: RUNNING_DASH },
  ];
}
