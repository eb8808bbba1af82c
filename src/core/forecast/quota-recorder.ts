import type { AccountId } from "../ids.ts";
import type { QuotaHistory } from "../ports.ts";
import type { UsageSnapshot } from "../usage.ts";
import { boundedHistory, type HistorySample, isUnchanged, joined, samplesOf, seriesOf } from "./quota-history.ts";

/** Stores the history. */
export interface HistoryFile {
	/** Adds samples to those of all processes. May lose them on a full or read-only disk. */
	append(samples: readonly HistorySample[]): Promise<void>;
	/** Returns everything that is kept, in any order. */
	read(): Promise<readonly HistorySample[]>;
}

interface Deps {
	/** Opens the file. The code that it needs is loaded at the first write or read. */
	readonly load: () => Promise<HistoryFile>;
	readonly now: () => number;
	readonly onFailure: (error: unknown) => void;
}

const HOUR_MS = 60 * 60_000;
/** Changes are written together this often, and at the end of a session. The next figure contains what is lost. */
const WRITE_EVERY_MS = 5 * 60_000;

/** A later answer may overtake an earlier one. A sample older than this means that the clock was set back. */
const LATEST_MS = HOUR_MS;

/** Creates the history. It collects changes and writes them in the background. */
export function createQuotaRecorder({ load, now, onFailure }: Deps): QuotaHistory {
	const latest = new Map<string, HistorySample>();
	let waiting: HistorySample[] = [];
	let writing: Promise<void> = Promise.resolve();
	let timer: ReturnType<typeof setTimeout> | undefined;

	const writeBatch = async () => {
		clearTimeout(timer);
		timer = undefined;
		const batch = waiting;
		waiting = [];
		if (batch.length === 0) return;
		try {
			await (await load()).append(batch);
		} catch (error) {
			onFailure(error);
		}
	};
	const flush = () => {
		writing = writing.then(writeBatch);
		return writing;
	};

	const take = (sample: HistorySample) => {
		const series = seriesOf(sample);
		const former = latest.get(series);
		const isLate = former !== undefined && sample.at < former.at && former.at - sample.at < LATEST_MS;
		if (isLate || (former && isUnchanged(former, sample))) return;
		latest.set(series, sample);
		const at = waiting.findLastIndex((each) => seriesOf(each) === series);
		const unwritten = waiting[at];
		const isOfThisHour = unwritten && Math.floor(unwritten.at / HOUR_MS) === Math.floor(sample.at / HOUR_MS);
		// The samples show a window that ended in between, unless this one replaces the last.
		if (isOfThisHour) waiting[at] = joined(unwritten, sample);
		else waiting.push(sample);
		timer ??= setTimeout(() => void flush(), WRITE_EVERY_MS).unref();
	};

	return {
		record: (id: AccountId, usage: UsageSnapshot) => {
			for (const sample of samplesOf(id, usage)) take(sample);
		},
		read: async () => {
			const stored = await (await load()).read();
			return boundedHistory([...stored, ...waiting], now());
		},
		flush,
	};
}
