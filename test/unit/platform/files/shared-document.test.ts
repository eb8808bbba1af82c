import { execFileSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { quarantine, signatureOf } from "../../../../src/platform/files/document-file.ts";
import {
	openSharedDocument,
	type SharedDocument,
	type SharedDocumentOptions,
} from "../../../../src/platform/files/shared-document.ts";
import { aScratch, settled, until } from "../../../support/fakes.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { runs } from "../../../support/tiers.ts";
import { hurryTimersOf } from "../../waits.ts";

const schema = z.looseObject({ version: z.number(), counts: z.record(z.string(), z.number()) });
type Counts = z.output<typeof schema>;
type Migration = Pick<SharedDocumentOptions<typeof schema>, "migrate" | "beforeMigration" | "isDisposable">;

const scratch = scratchForEach();
let problems: string[];
let opened: { flush(): Promise<void> }[];
beforeEach(() => {
	opened = [];
	problems = [];
});
afterEach(async () => {
	vi.useRealTimers();
	// A look alone may begin a write: it must not outlive its folder.
	await Promise.all(opened.map((document) => document.flush()));
});

const NAME = "counts.json";

/** One more process over the same file. */
function openCounts(path = scratch.path(NAME), migration: Migration = {}): SharedDocument<Counts> {
	const told = problems;
	const document = openSharedDocument({
		path,
		schema,
		version: 2,
		empty: () => ({ version: 2, counts: {} }),
		onProblem: ({ kind, text }) => told.push(`${kind}: ${text}`),
		...migration,
	});
	opened.push(document);
	return document;
}

const set =
	(name: string, value = 1) =>
	(draft: Counts) => {
		draft.counts[name] = value;
	};
/** A change that has ended, with the event loop at rest after it. */
async function write(document: SharedDocument<Counts>, change: (draft: Counts) => void): Promise<void> {
	try {
		await document.update(change);
	} finally {
		await settled();
	}
}
const stored = (name = NAME) => schema.parse(scratch.json(name)).counts;
const inode = () => statSync(scratch.path(NAME)).ino;

describe("a shared document", () => {
	it("is empty and writes nothing until it is changed", async () => {
		const counts = openCounts();
		expect(counts.read()).toEqual({ version: 2, counts: {} });
		await counts.flush();
		expect(scratch.names()).toEqual([]);
	});

	it("has a change at once in memory, and durably when it resolves", async () => {
		const counts = openCounts();
		const durable = counts.update(set("a"));
		expect(counts.read().counts).toEqual({ a: 1 });
		await durable;
		expect(stored()).toEqual({ a: 1 });
		expect(scratch.names()).toEqual([NAME]);
	});

	it("takes one change after another, each awaited", async () => {
		const counts = openCounts();
		let isDone = false;
		void (async () => {
			for (const name of ["a", "b", "c", "d"]) await counts.update(set(name));
			isDone = true;
		})();
		await until("all four changes are durable", () => isDone, 10_000);
		expect(stored()).toEqual({ a: 1, b: 1, c: 1, d: 1 });
	});

	it("takes a change that follows at once on a finished one and is written behind", async () => {
		const counts = openCounts();
		await counts.update(set("a"));
		counts.updateDebounced(set("b"));
		await settled();
		await counts.flush();
		expect(stored()).toEqual({ a: 1, b: 1 });
	});

	onPosix("is for its owner alone, even if it was not before", async () => {
		scratch.write(NAME, { version: 2, counts: {} });
		chmodSync(scratch.path(NAME), 0o644);
		await write(openCounts(), set("a"));
		expectMode(scratch.path(NAME), 0o600);
	});

	it("keeps the file when a change comes to nothing", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		const before = inode();
		await write(counts, () => undefined);
		expect(inode()).toBe(before);
	});

	it("is empty again when its file is deleted, and begins a new one", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		unlinkSync(scratch.path(NAME));
		expect(counts.read().counts).toEqual({});
		await write(counts, set("b"));
		expect(stored()).toEqual({ b: 1 });
		expect(problems).toEqual([]);
	});

	it("keeps keys that it does not know", async () => {
		scratch.write(NAME, { version: 2, counts: { a: 1 }, future: { nested: [1, { deep: null }] } });
		await write(openCounts(), set("b"));
		expect(scratch.json(NAME)).toEqual({
			version: 2,
			counts: { a: 1, b: 1 },
			future: { nested: [1, { deep: null }] },
		});
	});

	it("rejects a change that fails, and goes on with the next", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		const failing = write(counts, () => {
			throw new Error("a defect");
		});
		await expect(failing).rejects.toThrow("a defect");
		await write(counts, set("b"));
		expect(stored()).toEqual({ a: 1, b: 1 });
	});
});

describe("two processes over one document", () => {
	it("two processes over one document see each other's changes at the next look", async () => {
		const [one, other] = [openCounts(), openCounts()];
		await write(one, set("a"));
		expect(other.read().counts).toEqual({ a: 1 });
		await write(other, set("b"));
		expect(one.read().counts).toEqual({ a: 1, b: 1 });
	});

	it("two processes over one document lose none of their changes when both write at once", async () => {
		const [one, other] = [openCounts(), openCounts()];
		const changes = Array.from({ length: 20 }, (_each, at) => (at % 2 === 0 ? one : other).update(set(`k${at}`, at)));
		await Promise.all(changes);
		expect(stored()).toEqual(Object.fromEntries(Array.from({ length: 20 }, (_each, at) => [`k${at}`, at])));
		expect(one.read()).toEqual(other.read());
	});

	it("two processes over one document count each change of either exactly once", async () => {
		const [one, other] = [openCounts(), openCounts()];
		const add = (draft: Counts) => {
			draft.counts.n = (draft.counts.n ?? 0) + 1;
		};
		await Promise.all(Array.from({ length: 20 }, (_each, at) => (at % 2 === 0 ? one : other).update(add)));
		expect(stored()).toEqual({ n: 20 });
		expect([one.read().counts, other.read().counts]).toEqual([{ n: 20 }, { n: 20 }]);
	});

	it("two processes over one document keep an unsaved change on top of what the other wrote meanwhile", async () => {
		const [one, other] = [openCounts(), openCounts()];
		one.updateDebounced(set("mine"));
		await write(other, set("theirs"));
		expect(one.read().counts).toEqual({ theirs: 1, mine: 1 });
		expect(stored()).toEqual({ theirs: 1 });
		await one.flush();
		expect(stored()).toEqual({ theirs: 1, mine: 1 });
	});

	it("agree after any interleaving", async () => {
		const steps = fc.array(
			fc.tuple(fc.nat(2), fc.constantFrom("a", "b", "c"), fc.nat(9), fc.constantFrom("now", "soon", "read")),
			{ maxLength: 12 },
		);
		// What is still under way after the limit of a test may touch neither the files nor the documents of the next one.
		const own = aScratch();
		let isOver = false;
		onTestFinished(() => {
			isOver = true;
			own.remove();
		});
		let round = 0;
		await fc.assert(
			fc.asyncProperty(steps, async (list) => {
				if (isOver) throw new Error("the test has ended");
				const path = own.path(`${round++}.json`);
				const processes = [openCounts(path), openCounts(path), openCounts(path)];
				const under: Promise<void>[] = [];
				for (const [who, key, value, how] of list) {
					const process = processes[who];
					// Each process owns its keys, as each operation in the product does.
					const mine = set(`${key}${who}`, value);
					if (how === "now") under.push(process?.update(mine) ?? Promise.resolve());
					if (how === "soon") process?.updateDebounced(mine);
					if (how === "read") process?.read();
				}
				await Promise.all(under);
				for (const process of processes) await process.flush();
				const expected = new Map<string, number>();
				for (const [who, key, value, how] of list) if (how !== "read") expected.set(`${key}${who}`, value);
				for (const process of processes) expect(process.read().counts).toEqual(Object.fromEntries(expected));
			}),
			runs(6, 150),
		);
	});
});

describe("changes that are written behind", () => {
	const turns = async (holds: () => boolean = () => false) => {
		for (let turn = 0; turn < 3000 && !holds(); turn += 1) await settled();
	};

	it("late changes wait a second for others, and go out as one write", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const counts = openCounts();
		let applied = 0;
		for (const name of ["a", "b", "c", "d", "e"]) {
			counts.updateDebounced((draft) => {
				applied += 1;
				draft.counts[name] = 1;
			});
		}
		vi.advanceTimersByTime(999);
		await turns();
		expect(scratch.names()).toEqual([]);
		vi.advanceTimersByTime(1);
		await turns(() => scratch.names().includes(NAME));
		await counts.flush();
		expect(stored()).toEqual({ a: 1, b: 1, c: 1, d: 1, e: 1 });
		// Once in memory, once in the one write.
		expect(applied).toBe(10);
	});

	it("late changes go out with the next change that is written at once", async () => {
		const counts = openCounts();
		counts.updateDebounced(set("soon"));
		await write(counts, set("now"));
		expect(stored()).toEqual({ soon: 1, now: 1 });
	});

	it("late changes are not forgotten if they come in the middle of another write", async () => {
		hurryTimersOf(1000);
		const counts = openCounts();
		const durable = counts.update(set("now"));
		// The write has begun, so this one has missed it.
		await until("the write is under way", () => scratch.names().includes(`${NAME}.lock`));
		counts.updateDebounced(set("soon"));
		await durable;
		await until("the late one is written, too", () => stored().soon === 1, 10_000);
		expect(stored()).toEqual({ now: 1, soon: 1 });
	});

	it("late changes are not written once more if another write has taken them along", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const counts = openCounts();
		const durable = counts.update(set("now"));
		counts.updateDebounced(set("soon"));
		await durable;
		await settled();
		expect(stored()).toEqual({ now: 1, soon: 1 });
		scratch.write(NAME, '{"version":1,"counts":{}}');
		await vi.advanceTimersByTimeAsync(60_000);
		await settled();
		expect(stored()).toEqual({});
	});

	it("that the newest file does not take are reported, and end neither a write nor a flush", async () => {
		const counts = openCounts();
		let isBroken = false;
		counts.updateDebounced(() => {
			if (isBroken) throw new TypeError("secret");
		});
		counts.updateDebounced(set("a"));
		isBroken = true;
		await expect(counts.flush()).resolves.toBeUndefined();
		expect(problems).toEqual([expect.stringContaining("cannot be written")]);
		expect(problems.join()).not.toContain("secret");
		isBroken = false;
		await counts.flush();
		expect(counts.read().counts).toEqual({ a: 1 });
	});

	it("late changes go out at a flush", async () => {
		const counts = openCounts();
		counts.updateDebounced(set("a"));
		await counts.flush();
		expect(stored()).toEqual({ a: 1 });
	});
});

describe("a document that cannot be read", () => {
	const sentence = /^corrupt: counts\.json could not be read\. .* counts\.json\.corrupt-\d+, /;

	it.each([
		["is torn", '{"version":2,"counts":{"secret-token":'],
		["is empty", ""],
		["is no JSON", "<html>secret-token</html>\n\u0000"],
		["has another shape", '{"version":2,"counts":["secret-token"]}'],
		["is no object", '"secret-token"'],
	])("a file that %s is kept byte for byte, reported once, and begun anew", async (_name, bytes) => {
		hurryTimersOf(500);
		scratch.write(NAME, bytes);
		const counts = openCounts();
		expect(counts.read().counts).toEqual({});
		await write(counts, set("a"));
		counts.read();
		await write(counts, set("b"));
		const [kept = "", ...others] = scratch.names(`${NAME}.corrupt-`);
		expect(scratch.text(kept)).toBe(bytes);
		expect(others).toEqual([]);
		expect(stored()).toEqual({ a: 1, b: 1 });
		expect(problems).toEqual([expect.stringMatching(sentence)]);
		expect(problems.join()).not.toContain("secret-token");
	});

	it("is set aside by a look alone, and reported", async () => {
		hurryTimersOf(500);
		scratch.write(NAME, "{torn");
		const counts = openCounts();
		counts.read();
		await until("the broken file is set aside", () => problems.length > 0);
		await counts.flush();
		expect(scratch.names()).toEqual([expect.stringMatching(/^counts\.json\.corrupt-\d+$/)]);
		expect(counts.read().counts).toEqual({});
	});

	it("is not set aside while another program is in the middle of writing it", async () => {
		const whole = JSON.stringify({ version: 2, counts: { restored: 3 } });
		scratch.write(NAME, whole.slice(0, 20));
		const counts = openCounts();
		counts.read();
		const changed = counts.update(set("a"));
		await new Promise((resolve) => setTimeout(resolve, 100));
		// In place, as a redirection of a shell or a copy does.
		writeFileSync(scratch.path(NAME), whole);
		await changed;
		expect(stored()).toEqual({ restored: 3, a: 1 });
		expect(scratch.names()).toEqual([NAME]);
		expect(problems).toEqual([]);
	});

	it("is set aside once if two processes find it", async () => {
		hurryTimersOf(500);
		scratch.write(NAME, "{torn");
		const [one, other] = [openCounts(), openCounts()];
		one.read();
		other.read();
		await Promise.all([one.update(set("a")), other.update(set("b"))]);
		expect(scratch.names(`${NAME}.corrupt-`)).toHaveLength(1);
		expect(problems).toHaveLength(1);
		expect(stored()).toEqual({ a: 1, b: 1 });
	});
});

describe("a broken file that another process has replaced since it was read", () => {
	it("is not set aside: what has come in its place is good", () => {
		const path = scratch.write(NAME, "{");
		const seen = signatureOf(path);
		scratch.write(`${NAME}.next`, { version: 2, counts: {} });
		renameSync(scratch.path(`${NAME}.next`), path);
		expect(quarantine(path, path, seen)).toBeUndefined();
		expect(stored()).toEqual({});
		const kept = quarantine(path, path, signatureOf(path));
		expect([kept, scratch.names()]).toEqual([
			scratch.path(scratch.names()[0] ?? ""),
			[expect.stringMatching(/corrupt/)],
		]);
	});
});

onPosix("a document that is a link stays one, and is locked at its target, where every process locks", async () => {
	mkdirSync(scratch.path("shared"));
	scratch.write("shared/real.json", { version: 2, counts: {} });
	symlinkSync(scratch.path("shared/real.json"), scratch.path(NAME));
	const [one, other] = [openCounts(), openCounts(scratch.path("shared/real.json"))];
	await Promise.all([one.update(set("a")), other.update(set("b")), one.update(set("c"))]);
	expect(stored("shared/real.json")).toEqual({ a: 1, b: 1, c: 1 });
	expect(lstatSync(scratch.path(NAME)).isSymbolicLink()).toBe(true);
	expect(scratch.names()).toEqual([NAME, "shared"]);
});

it("a document whose lock is taken for stale loses nothing of what the intruder writes, nor of its own", async () => {
	const counts = openCounts();
	await write(counts, set("a"));
	const change = counts.update(set("mine"));
	await until("the write is under way", () => scratch.names().some((name) => name.endsWith(".tmp")));
	scratch.write(NAME, { version: 2, counts: { a: 1, theirs: 1 } });
	await change;
	expect(stored()).toEqual({ a: 1, theirs: 1, mine: 1 });
});

describe("a document that another process writes all the time", () => {
	/** Is never written: each time another process writes between our look and our rename. */
	const outrun = (draft: Counts, isNewest: boolean) => {
		draft.counts.mine = 1;
		if (isNewest && isOtherAtWork) scratch.write(NAME, { version: 2, counts: { theirs: writes++ } });
	};
	let writes: number;
	let isOtherAtWork: boolean;
	beforeEach(() => {
		writes = 1;
		isOtherAtWork = true;
	});
	afterEach(() => {
		// Nothing of this is tried again in a later test.
		isOtherAtWork = false;
	});

	it("is reported at once if it is precious", async () => {
		const counts = openCounts();
		await expect(counts.update(outrun)).rejects.toMatchObject({ code: "ELOCKED" });
		expect(problems).toEqual([
			"unwritable: counts.json cannot be written (locked by another process); changes are kept in memory.",
		]);
	});

	it("is reported only when it is so again if it is not, and its changes are not lost meanwhile", async () => {
		const counts = openCounts(scratch.path(NAME), { isDisposable: true });
		await expect(counts.update(outrun)).rejects.toMatchObject({ code: "ELOCKED" });
		expect([problems, counts.read().counts.mine]).toEqual([[], 1]);
		await counts.flush();
		expect(problems).toEqual([expect.stringContaining("locked by another process")]);
		isOtherAtWork = false;
		await counts.flush();
		expect(stored()).toMatchObject({ mine: 1 });
	});
});

describe("a document of a newer version", () => {
	const bytes = '{"version":3,"counts":"of another shape"}';

	it("rejects what cannot be kept in it, and keeps it in memory", async () => {
		scratch.write(NAME, bytes);
		const counts = openCounts();
		await expect(write(counts, set("a"))).rejects.toThrow("newer pi-multicodex");
		expect(counts.read().counts).toEqual({ a: 1 });
	});

	it("a document of a newer version is not tried again and again: nothing of it changes by itself", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		scratch.write(NAME, bytes);
		const counts = openCounts();
		await expect(write(counts, set("a"))).rejects.toThrow();
		await settled();
		scratch.write(NAME, '{"version":1,"counts":{}}');
		await vi.advanceTimersByTimeAsync(60_000);
		await settled();
		expect(stored()).toEqual({});
	});

	it("is never written, and is reported once", async () => {
		scratch.write(NAME, bytes);
		const counts = openCounts();
		counts.read();
		counts.updateDebounced(set("a"));
		await write(counts, set("b")).catch(() => undefined);
		await counts.flush();
		await write(counts, set("c")).catch(() => undefined);
		expect(scratch.text(NAME)).toBe(bytes);
		expect(scratch.names()).toEqual([NAME]);
		expect(problems).toEqual([expect.stringMatching(/^newer: counts\.json .* newer pi-multicodex/)]);
	});

	it("is never written when it appears between a look and a write", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		const change = counts.update(set("b"));
		scratch.write(NAME, bytes);
		await change.catch(() => undefined);
		expect(scratch.text(NAME)).toBe(bytes);
		counts.read();
		expect(problems).toHaveLength(1);
	});

	it("is in the way no longer once it is gone", async () => {
		scratch.write(NAME, bytes);
		const counts = openCounts();
		counts.read();
		scratch.write(NAME, { version: 2, counts: { theirs: 1 } });
		await write(counts, set("mine"));
		expect(stored()).toEqual({ theirs: 1, mine: 1 });
	});
});

describe("a document that cannot be written", () => {
	it("rejects the change, keeps it in memory, tells of it once, and writes it with the next", async () => {
		scratch.write("folder", "a file where a folder should be");
		const counts = openCounts(scratch.path(`folder/${NAME}`));
		await expect(write(counts, set("a"))).rejects.toMatchObject({ code: expect.stringMatching(/EEXIST|ENOTDIR/) });
		await expect(write(counts, set("b"))).rejects.toThrow();
		expect(counts.read().counts).toEqual({ a: 1, b: 1 });
		expect(problems).toEqual([expect.stringMatching(/^unwritable: counts\.json cannot be written \(E[A-Z]+\)/)]);
		unlinkSync(scratch.path("folder"));
		await write(counts, set("c"));
		expect(stored(`folder/${NAME}`)).toEqual({ a: 1, b: 1, c: 1 });
		expect(problems).toHaveLength(1);
	});

	it("writes by itself as soon as that is possible", async () => {
		hurryTimersOf(2000);
		scratch.write("folder", "a file where a folder should be");
		const counts = openCounts(scratch.path(`folder/${NAME}`));
		await expect(write(counts, set("a"))).rejects.toThrow();
		unlinkSync(scratch.path("folder"));
		await until("it is written", () => existsSync(scratch.path(`folder/${NAME}`)));
		expect(stored(`folder/${NAME}`)).toEqual({ a: 1 });
	});

	it("is tried once more by a flush", async () => {
		scratch.write("folder", "a file where a folder should be");
		const counts = openCounts(scratch.path(`folder/${NAME}`));
		await expect(write(counts, set("a"))).rejects.toThrow();
		await expect(counts.flush()).resolves.toBeUndefined();
		unlinkSync(scratch.path("folder"));
		await counts.flush();
		expect(stored(`folder/${NAME}`)).toEqual({ a: 1 });
	});

	it("keeps changes for later that were to be written behind", async () => {
		scratch.write("folder", "a file where a folder should be");
		const counts = openCounts(scratch.path(`folder/${NAME}`));
		counts.updateDebounced(set("a"));
		await counts.flush();
		expect(counts.read().counts).toEqual({ a: 1 });
		unlinkSync(scratch.path("folder"));
		await write(counts, set("b"));
		expect(stored(`folder/${NAME}`)).toEqual({ a: 1, b: 1 });
	});

	it("loses nothing of its former content", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		const before = scratch.text(NAME);
		renameSync(scratch.path(NAME), scratch.path("elsewhere"));
		mkdirSync(scratch.path(NAME));
		await expect(write(counts, set("b"))).rejects.toThrow();
		rmSync(scratch.path(NAME), { recursive: true });
		renameSync(scratch.path("elsewhere"), scratch.path(NAME));
		expect(scratch.text(NAME)).toBe(before);
		await write(counts, set("c"));
		expect(stored()).toEqual({ a: 1, b: 1, c: 1 });
		expect(scratch.names()).toEqual([NAME]);
	});

	it("keeps its unsaved changes on top of what others manage to write", async () => {
		mkdirSync(scratch.path(NAME));
		const counts = openCounts();
		await expect(write(counts, set("mine"))).rejects.toThrow();
		renameSync(scratch.path(NAME), scratch.path("elsewhere"));
		scratch.write(NAME, { version: 2, counts: { theirs: 1 } });
		expect(counts.read().counts).toEqual({ theirs: 1, mine: 1 });
	});
});

describe("a document of an older version", () => {
	const fromList = (raw: unknown) => {
		const list = z.object({ list: z.array(z.string()) }).safeParse(raw).data?.list;
		return list ? { version: 2, counts: Object.fromEntries(list.map((name) => [name, 1])) } : raw;
	};

	it("is brought to today's shape by a look, with the former bytes handed over first", async () => {
		const former = '{ "list": ["a", "b"] }';
		scratch.write(NAME, former);
		const kept: string[] = [];
		const counts = openCounts(scratch.path(NAME), {
			migrate: fromList,
			beforeMigration: async (bytes) => void kept.push(bytes),
		});
		expect(counts.read().counts).toEqual({ a: 1, b: 1 });
		await until("the file is in today's shape", () => scratch.text(NAME) !== former);
		await counts.flush();
		expect(stored()).toEqual({ a: 1, b: 1 });
		expect(kept).toEqual([former]);
		expect(problems).toEqual([]);
	});

	it("is left as it is when the former bytes cannot be kept", async () => {
		const former = '{ "list": ["a"] }';
		scratch.write(NAME, former);
		const counts = openCounts(scratch.path(NAME), {
			migrate: fromList,
			beforeMigration: () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" })),
		});
		await expect(write(counts, set("b"))).rejects.toThrow("full");
		expect(scratch.text(NAME)).toBe(former);
		expect(counts.read().counts).toEqual({ a: 1, b: 1 });
	});

	it("counts as broken when it cannot be brought to today's shape", async () => {
		hurryTimersOf(500);
		scratch.write(NAME, '{"list":5}');
		const migrate = () => {
			throw new Error("secret-token");
		};
		const counts = openCounts(scratch.path(NAME), { migrate });
		await write(counts, set("a"));
		expect(scratch.names(`${NAME}.corrupt-`)).toHaveLength(1);
		expect(problems.join()).not.toContain("secret-token");
	});
});

describe("a document in whose place something else lies", () => {
	const others: readonly (readonly [string, (path: string) => void])[] = [
		["a pipe", (path) => void execFileSync("mkfifo", [path])],
		["a folder", (path) => mkdirSync(path)],
		["a link to a device", (path) => symlinkSync("/dev/zero", path)],
		["a link to itself", (path) => symlinkSync(path, path)],
		["a file of a gigabyte", (path) => truncateSync(openEmpty(path), 2 ** 30)],
	];
	const openEmpty = (path: string) => {
		writeFileSync(path, "");
		return path;
	};

	it.each(others)("is not opened, not replaced and reported once: %s", async (_name, make) => {
		make(scratch.path(NAME));
		const before = lstatSync(scratch.path(NAME));
		const counts = openCounts();
		expect(counts.read().counts).toEqual({});
		await expect(write(counts, set("a"))).rejects.toThrow();
		await counts.flush();
		expect(counts.read().counts).toEqual({ a: 1 });
		expect(lstatSync(scratch.path(NAME))).toMatchObject({ ino: before.ino, mode: before.mode, size: before.size });
		expect(scratch.names()).toEqual([NAME]);
		expect(problems).toEqual([expect.stringMatching(/^unreadable: counts\.json cannot be read \(/)]);
	});

	onPosix("keeps what was known of it, and takes it up again when it is back", async () => {
		const counts = openCounts();
		await write(counts, set("a"));
		renameSync(scratch.path(NAME), scratch.path("elsewhere"));
		execFileSync("mkfifo", [scratch.path(NAME)]);
		expect(counts.read().counts).toEqual({ a: 1 });
		await expect(write(counts, set("b"))).rejects.toThrow();
		renameSync(scratch.path("elsewhere"), scratch.path(NAME));
		await write(counts, set("c"));
		expect(stored()).toEqual({ a: 1, b: 1, c: 1 });
	});

	onPosix("is made where a link to nothing leads, and the link stays", async () => {
		mkdirSync(scratch.path("mounted"));
		symlinkSync("mounted/real.json", scratch.path(NAME));
		await write(openCounts(), set("a"));
		expect([stored("mounted/real.json"), lstatSync(scratch.path(NAME)).isSymbolicLink()]).toEqual([{ a: 1 }, true]);
	});

	onPosix("is left alone if a link leads into a folder that does not exist", async () => {
		symlinkSync("unmounted/real.json", scratch.path(NAME));
		const counts = openCounts();
		await expect(write(counts, set("a"))).rejects.toThrow();
		expect([scratch.names(), lstatSync(scratch.path(NAME)).isSymbolicLink()]).toEqual([[NAME], true]);
	});
});

/** What nothing holds on to is gone afterwards. */
function collectGarbage(): void {
	setFlagsFromString("--expose-gc");
	runInNewContext("gc")();
}

describe("changes that cannot be written", () => {
	const counted = (name: string) => {
		const calls = { count: 0 };
		const change = (draft: Counts) => {
			calls.count += 1;
			draft.counts[name] = (draft.counts[name] ?? 0) + 1;
		};
		return { calls, change };
	};

	it.each(["newer", "locked away"])("unwritten changes are kept as one if the file is %s", async (why) => {
		const isNewer = why === "newer";
		const path = isNewer ? scratch.path(NAME) : scratch.path(`folder/${NAME}`);
		scratch.write(isNewer ? NAME : "folder", isNewer ? { version: 99 } : "a file where a folder should be");
		const counts = openCounts(path);
		const { calls, change } = counted("mine");
		for (let at = 0; at < 500; at += 1) {
			const written = counts.update(change).catch(() => undefined);
			if (at % 10 === 0) await written;
		}
		await counts.flush();
		calls.count = 0;
		if (!isNewer) unlinkSync(scratch.path("folder"));
		mkdirSync(scratch.path("folder"), { recursive: true });
		writeFileSync(path, JSON.stringify({ version: 2, counts: { theirs: 1 } }));
		expect(counts.read().counts).toEqual({ theirs: 1, mine: 500 });
		expect(calls.count).toBeLessThan(10);
		await counts.flush();
		expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ version: 2, counts: { theirs: 1, mine: 500 } });
	});

	it("unwritten changes keep no document alive but the two that they differ in, however long that lasts", async () => {
		scratch.write(NAME, { version: 99 });
		const counts = openCounts();
		const drafts: WeakRef<Counts>[] = [];
		for (let at = 0; at < 60; at += 1) {
			const change = (draft: Counts) => {
				drafts.push(new WeakRef(draft));
				draft.counts.mine = at;
			};
			await counts.update(change).catch(() => undefined);
		}
		collectGarbage();
		const isAlive = (draft: WeakRef<Counts>) => draft.deref() !== undefined;
		expect(new Set(drafts.filter(isAlive).map((draft) => draft.deref())).size).toBeLessThan(5);
		expect(counts.read().counts).toEqual({ mine: 59 });
	});

	it("unwritten changes take nothing back that another process has written since", async () => {
		scratch.write(NAME, { version: 2, counts: { a: 1, b: 1, c: 1 }, kept: true });
		const counts = openCounts();
		counts.read();
		unlinkSync(scratch.path(NAME));
		mkdirSync(scratch.path(NAME));
		const changes = [set("a", 2), set("d"), (draft: Counts) => void delete draft.counts.b];
		for (const change of changes) await counts.update(change).catch(() => undefined);
		rmSync(scratch.path(NAME), { recursive: true });
		scratch.write(NAME, { version: 2, counts: { a: 1, b: 1, c: 5, e: 1 }, kept: true, newer: 1 });
		await counts.flush();
		expect(scratch.json(NAME)).toEqual({ version: 2, counts: { a: 2, c: 5, d: 1, e: 1 }, kept: true, newer: 1 });
	});
});

describe("a document that is nested too deeply to be written", () => {
	it("is left as it is, with that reason", async () => {
		const bytes = `{"version":2,"counts":{},"deep":${"[".repeat(12_000)}${"]".repeat(12_000)}}`;
		scratch.write(NAME, bytes);
		const counts = openCounts();
		for (const name of ["a", "b"]) await write(counts, set(name)).catch(() => undefined);
		expect(counts.read().counts).toEqual({ a: 1, b: 1 });
		expect(scratch.text(NAME)).toBe(bytes);
		expect(problems).toEqual([expect.stringContaining("nested too deeply")]);
	});
});
