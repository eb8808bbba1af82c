import { createHash } from "node:crypto";
import { rename, stat } from "node:fs/promises";
import * as z from "zod/mini";
import { DECISION_KINDS, type Decision, type LoggedDecision } from "../../core/decision.ts";
import { FRAME, MOST_FRAMES } from "../../core/defect.ts";
import { iso } from "../../core/iso-time.ts";
import type { EventLog } from "../../core/ports.ts";
import { appendLines, createWriteBehind, inodeOf } from "../files/line-file.ts";
import { withLock } from "../files/lock.ts";
import { realTarget, whereIs } from "../files/real-path.ts";
import { readText } from "../files/regular-file.ts";
import { accountIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";

/** When the log would grow beyond 1 MiB it becomes the former log, replacing the one before. */
export const LOG_BYTES = 1024 * 1024;
/** Maximum length of a line. The longest queue of lines stays below the size of a file. Each character is one byte. */
export const LINE_LENGTH = 2000;
const MOST_WAITING = 500;

const COALESCE_MS = 1000;
const LOCK_WAIT_MS = 1000;
/** Another process may rename the file between two reads. */
const TRIES = 3;
/** Matches the id of a model, a limit or an account. */
const ID = /^[\w.:/+-]{1,80}$/;
/** Matches a code, or a few words of ours. Contains no digit, of which every token has many. */
const WORD = /^[A-Za-z_ -]{1,40}$/;
/** Matches a link of the chain, or the value of a preference, which may be a list of links. */
const LINKS = /^[\w.:/+@,-]{1,300}$/;
const UNKNOWN_WORD = "other";
const IDS = ["account", "from", "scope", "window", "model", "setting"] as const;
const LISTS = ["link", "formerLink", "value"] as const;
const WORDS = ["reason", "decidedBy", "error"] as const;

/** One line. Kinds that only a newer version knows are ignored. */
const lineSchema = lazily(() => {
	const optionalAccount = lenient(accountIdSchema);
	const optionalId = lenient(z.string().check(z.regex(ID)));
	const optionalWord = lenient(z.string().check(z.regex(WORD)));
	const optionalLink = lenient(z.string().check(z.regex(LINKS)));
	const optionalNumber = lenient(z.number());
	const time = z.pipe(
		z.pipe(
			z.iso.datetime(),
			z.transform((text: string) => Date.parse(text)),
		),
		z.number(),
	);

	return z.object({
		at: time,
		pid: z.catch(z.int(), 0),
		kind: z.enum(DECISION_KINDS),
		session: optionalId,
		account: optionalAccount,
		from: optionalAccount,
		reason: optionalWord,
		scope: optionalId,
		window: optionalId,
		leftPercent: optionalNumber,
		until: lenient(time),
		guessed: lenient(z.literal(true)),
		total: optionalNumber,
		cooling: optionalNumber,
		untried: optionalNumber,
		model: optionalId,
		link: optionalLink,
		formerLink: optionalLink,
		paid: lenient(z.literal(true)),
		error: optionalWord,
		frames: lenient(z.readonly(z.array(z.string().check(z.regex(FRAME))).check(z.maxLength(MOST_FRAMES)))),
		setting: optionalId,
		value: optionalLink,
		decidedBy: optionalWord,
		terms: lenient(z.record(z.string().check(z.regex(WORD)), z.number())),
	});
});

/**
 * Opens the log at `path`, which ends in `.jsonl`; the former log is beside it in `.1.jsonl`. Many processes append
 * whole lines to it. On a full or read-only disk lines are lost silently: no decision is worth an error message.
 */
export function openEventLog(path: string, now: () => number, pid: number): EventLog {
	let waiting: string[] = [];

	const writeBatch = async (): Promise<void> => {
		const batch = waiting.join("");
		waiting = [];
		if (batch === "") return;
		try {
			await append(await realTarget(path), batch);
		} catch {
			// These lines are lost, as described above. The next batch is tried again.
			return;
		}
	};

	const behind = createWriteBehind(writeBatch, () => undefined);

	return {
		append: (decision) => {
			// Only a runaway loop fills the queue. Its beginning says more than its end.
			if (waiting.length >= MOST_WAITING) return;
			waiting.push(lineOf(decision, now(), pid));
			behind.soon(COALESCE_MS);
		},
		read: async (count) => {
			const text = await whereIs(path).then(readBoth, () => "");
			const lines = text.split("\n").filter((line) => line !== "");
			const decisionsIn = (some: readonly string[]) =>
				some.flatMap((line): LoggedDecision[] => {
					const parsed = parseJson(lineSchema(), line);
					return parsed ? [parsed] : [];
				});
			// Each process writes the lines of a second together, so lines of several processes are slightly out of order.
			// The sort is stable.
			const late = decisionsIn(lines.slice(-(count + MOST_WAITING)));
			const decisions = late.length >= count ? late : decisionsIn(lines);
			return decisions.sort((a, b) => a.at - b.at).slice(-count);
		},
		flush: behind.flush,
	};
}

function lineOf(decision: Decision, now: number, pid: number): string {
	const checked = (names: readonly (typeof IDS | typeof LISTS | typeof WORDS)[number][], shape: RegExp) =>
		names.map((name) => {
			const word = decision[name];
			return [name, word === undefined || shape.test(word) ? word : UNKNOWN_WORD] as const;
		});
	const { kind, session, until, guessed, paid, leftPercent, total, cooling, untried, frames, terms } = decision;
	const line = {
		at: iso(now),
		pid,
		kind,
		session: session === undefined ? undefined : hashOf(session),
		...Object.fromEntries([...checked(IDS, ID), ...checked(LISTS, LINKS), ...checked(WORDS, WORD)]),
		paid: paid || undefined,
		until: iso(until) ?? undefined,
		guessed: guessed || undefined,
		leftPercent,
		total,
		cooling,
		untried,
		frames: frames?.filter((frame) => FRAME.test(frame)).slice(0, MOST_FRAMES),
		terms: terms && Object.fromEntries(Object.entries(terms).filter(([name]) => WORD.test(name))),
	};
	const text = JSON.stringify(line);
	return text.length < LINE_LENGTH ? `${text}\n` : `${JSON.stringify({ ...line, terms: undefined })}\n`;
}

/** Returns a hash that distinguishes two sessions without naming a file. */
function hashOf(session: string): string {
	return createHash("sha256").update(session).digest("hex").slice(0, 12);
}

/** Appends `batch`, whole lines, to the file at `target`. Renames a full file first. */
function append(target: string, batch: string): Promise<void> {
	return appendLines(target, batch, async (size) => {
		if (size + Buffer.byteLength(batch) <= LOG_BYTES) return false;
		await replaceFullLog(target, batch);
		return true;
	});
}

/**
 * Renames a full log. If several processes find it full, one renames it and the others find a new file, or none yet.
 */
async function replaceFullLog(target: string, batch: string): Promise<void> {
	await withLock(target, { waitMs: LOCK_WAIT_MS }, async () => {
		const size = await stat(target).then((held) => held.size, nothing);
		if (size !== undefined && size + Buffer.byteLength(batch) > LOG_BYTES) await rename(target, olderOf(target));
	});
}

/** Returns the path of the former log. */
function olderOf(path: string): string {
	return path.replace(/(\.jsonl)?$/, ".1.jsonl");
}

/** Reads both files as of one moment. Between two reads the log may become the former log. */
async function readBoth(path: string): Promise<string> {
	for (let tries = 1; ; tries += 1) {
		const before = await inodeOf(path);
		const [older, newer] = [await readIfThere(olderOf(path)), await readIfThere(path)];
		if ((await inodeOf(path)) === before || tries >= TRIES) return `${older}\n${newer}`;
	}
}

/** Stands for a file that does not exist or cannot be checked. */
function nothing(): undefined {
	return undefined;
}

/** Reads a file; empty if it does not exist or cannot be read. */
function readIfThere(path: string): Promise<string> {
	return readText(path).catch(() => "");
}
