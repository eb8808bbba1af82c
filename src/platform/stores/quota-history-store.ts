import { statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import * as z from "zod/mini";
import { boundedHistory, type HistorySample, seriesOf } from "../../core/forecast/quota-history.ts";
import type { HistoryFile } from "../../core/forecast/quota-recorder.ts";
import { boundedPercent, boundedWindow } from "../../core/usage-bounds.ts";
import { writeAtomically } from "../files/atomic-file.ts";
import { appendLines } from "../files/line-file.ts";
import { LockBusyError, withLock } from "../files/lock.ts";
import { realTarget } from "../files/real-path.ts";
import { NotReadableError, readText } from "../files/regular-file.ts";
import { accountIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";

/** The largest file for up to 20 accounts. For more accounts it grows with their number, up to four times as large. */
export const HISTORY_BYTES = 1024 * 1024;
const ACCOUNTS_IN_IT = 20;
const MOST_TIMES = 4;
/** The file is shrunk once it has less room than this for appended lines. */
const ROOM_BYTES = 128 * 1024;
/** The file is shrunk, when read, if it holds more samples than this for each one worth keeping. */
const MOST_TO_ONE = 3;
const FEW_SAMPLES = 1000;
/** So many samples are read at once. */
const SAMPLES_AT_ONCE = 5000;
const LOCK_WAIT_MS = 1000;
const MINUTE_MS = 60_000;
/** This part of the oldest samples is dropped, repeatedly, until the rest fits. */
const DROPPED_PART = 0.1;

/**
 * One line: samples of one window of an account, in order. Times are in minutes: since 1970 for the first sample, since
 * the previous one for the others. `null` stands for an unknown value. Further values of a sample are ignored.
 */
const lineSchema = lazily(() =>
	z.object({
		account: accountIdSchema,
		window: z.number().check(z.positive()),
		/** Time, used percent, minutes to the reset, and what the previous window had reached. Checked one by one. */
		samples: z.array(z.unknown()),
	}),
);

/**
 * Opens the history at `path`. Many processes append whole lines; one of them shrinks the file under its lock. An
 * unreadable line is skipped. Deleting the file loses only the forecast.
 */
export function openQuotaHistory(path: string, now: () => number): HistoryFile {
	/** The file's size after this process has shrunk it. It cannot get smaller. */
	let smallest = 0;

	const compact = async (target: string): Promise<boolean> => {
		try {
			return await withLock(target, { waitMs: LOCK_WAIT_MS }, async () => {
				const { size } = statSync(target);
				const next = fitting(boundedHistory(await samplesIn(await readText(target).catch(nothingOfTooMuch)), now()));
				// What another process appends after our read must not be lost.
				const isStillOurs = () => statSync(target).size === size;
				const written = await writeAtomically(target, next, 0o600, isStillOurs);
				if (written) smallest = Buffer.byteLength(next);
				return written !== undefined;
			});
		} catch (error) {
			// Another process is shrinking the file.
			if (error instanceof LockBusyError) return false;
			throw error;
		}
	};

	return {
		append: async (samples) => {
			const target = await realTarget(path);
			const batch = linesOf(samples);
			let isCompacted = false;
			const makeRoom = async (size: number) => {
				const maxBytes = Math.max(HISTORY_BYTES, smallest + 2 * ROOM_BYTES) - ROOM_BYTES;
				if (isCompacted || size + Buffer.byteLength(batch) <= maxBytes) return false;
				isCompacted = true;
				return compact(target);
			};
			await appendLines(target, batch, makeRoom);
		},
		read: async () => {
			const target = await realTarget(path);
			const text = await readText(target).catch(() => "");
			const samples = await samplesIn(text);
			const worth = boundedHistory(samples, now());
			if (samples.length > MOST_TO_ONE * worth.length + FEW_SAMPLES) await compact(target).catch(() => false);
			return worth;
		},
	};
}

/** Reads the samples in parts, so that pi can do other work in between. */
async function samplesIn(text: string): Promise<HistorySample[]> {
	const samples: HistorySample[] = [];
	let pausedAt = 0;
	for (const row of text.split("\n")) {
		for (const sample of samplesOfLine(row)) samples.push(sample);
		if (samples.length - pausedAt < SAMPLES_AT_ONCE) continue;
		await setImmediate();
		pausedAt = samples.length;
	}
	return samples;
}

function samplesOfLine(row: string): HistorySample[] {
	const line = row === "" ? undefined : parseJson(lineSchema(), row);
	const samples: HistorySample[] = [];
	if (!line) return samples;
	const { account: accountId, window: windowMinutes } = line;
	let minute = 0;
	for (const given of line.samples) {
		const [step, usedPercent, resetIn, former]: readonly unknown[] = Array.isArray(given) ? given : [];
		if (typeof step !== "number" || typeof usedPercent !== "number") continue;
		minute += step;
		const at = minute * MINUTE_MS;
		const resetsAt = typeof resetIn === "number" ? at + resetIn * MINUTE_MS : undefined;
		// A number that no account can have had would make every forecast untrue.
		const window = boundedWindow({ windowMinutes, usedPercent, resetsAt }, at);
		if (!window || !Number.isSafeInteger(at)) continue;
		const formerPercent = typeof former === "number" ? boundedPercent(former) : undefined;
		samples.push({
			accountId,
			windowMinutes,
			at,
			usedPercent,
			...(window.resetsAt !== undefined && { resetsAt: window.resetsAt }),
			...(formerPercent !== undefined && { formerPercent }),
		});
	}
	return samples;
}

/** Returns an empty history for a file that is too large to be one of ours. */
function nothingOfTooMuch(error: unknown): string {
	if (error instanceof NotReadableError && error.code === "EFBIG") return "";
	throw error;
}

/** Formats one line for each window of each account. */
function linesOf(samples: readonly HistorySample[]): string {
	const rows = new Map<string, HistorySample[]>();
	for (const sample of samples) {
		const series = seriesOf(sample);
		const row = rows.get(series);
		if (row) row.push(sample);
		else rows.set(series, [sample]);
	}
	return [...rows.values()].map(lineOf).join("");
}

function lineOf(samples: readonly HistorySample[]): string {
	const [first] = samples;
	let before = 0;
	const rows = samples.map(({ at, usedPercent, resetsAt, formerPercent }) => {
		const minute = Math.round(at / MINUTE_MS);
		const step = minute - before;
		before = minute;
		const resetIn = resetsAt === undefined ? null : Math.round(resetsAt / MINUTE_MS) - minute;
		const row = [step, tenth(usedPercent), resetIn];
		return formerPercent === undefined ? row : [...row, tenth(formerPercent)];
	});
	return `${JSON.stringify({ account: first?.accountId, window: first?.windowMinutes, samples: rows })}\n`;
}

function tenth(percent: number): number {
	return Math.round(percent * 10) / 10;
}

/** Returns the lines of the newest samples that fit into the file. */
function fitting(samples: readonly HistorySample[]): string {
	const accounts = new Set(samples.map(({ accountId }) => accountId)).size;
	const times = Math.min(MOST_TIMES, Math.max(1, accounts / ACCOUNTS_IN_IT));
	const most = HISTORY_BYTES * times - 2 * ROOM_BYTES;
	let rest = [...samples].sort((a, b) => a.at - b.at);
	let text = linesOf(rest);
	while (Buffer.byteLength(text) > most) {
		rest = rest.slice(Math.ceil(rest.length * DROPPED_PART));
		text = linesOf(rest);
	}
	return text;
}
