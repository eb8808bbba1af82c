import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createWriteQueue, type WriteBatch, type WriteQueue } from "../../../../src/platform/files/write-queue.ts";
import { runs } from "../../../support/tiers.ts";

interface Row extends Record<string, unknown> {
	readonly id: string;
	value: number;
}

/** A small document with the three shapes that ours have: a plain value, members by name, rows with an id. */
interface Doc extends Record<string, unknown> {
	pin: number;
	live: Record<string, number>;
	rows: Row[];
}

const empty = (): Doc => ({ pin: 0, live: {}, rows: [] });

/** The keys of a document: each may be changed on its own. */
const KEYS = ["pin", "live/a", "live/b", "rows/x", "rows/y"] as const;
type Key = (typeof KEYS)[number];

const set = (key: Key, value: number) => (doc: Doc) => {
	const [member, name = ""] = key.split("/");
	if (member === "pin") doc.pin = value;
	if (member === "live") doc.live[name] = value;
	if (member !== "rows") return;
	const row = doc.rows.find(({ id }) => id === name);
	if (row) row.value = value;
	else doc.rows.push({ id: name, value });
};

const get = (doc: Doc, key: Key): number | undefined => {
	const [member, name = ""] = key.split("/");
	if (member === "pin") return doc.pin;
	return member === "live" ? doc.live[name] : doc.rows.find(({ id }) => id === name)?.value;
};

/** A queue over a file that is a value, as one process sees it. */
function aProcess(first = empty()) {
	let file = first;
	/** As last read: what a process knows of the file between two looks. */
	let read = structuredClone(file);
	const queue: WriteQueue<Doc> = createWriteQueue(() => structuredClone(read));
	const look = () => {
		read = structuredClone(file);
		const view = structuredClone(file);
		queue.applyTo(view);
		return view;
	};
	return {
		queue,
		look,
		file: () => file,
		/** Another process writes. */
		foreign: (change: (doc: Doc) => void) => {
			file = structuredClone(file);
			change(file);
		},
		succeed: (batch: WriteBatch<Doc>) => {
			const next = structuredClone(file);
			batch.applyTo(next);
			file = next;
			read = structuredClone(next);
			batch.written();
			batch.settle();
		},
	};
}

const full = new Error("no space left");

describe("the write queue", () => {
	it("applies pending changes in order to a file that was read anew", () => {
		const { queue, look, foreign } = aProcess();
		queue.add({ change: set("pin", 1) });
		queue.add({ change: set("live/a", 2) });
		queue.add({ change: set("pin", 3) });
		foreign(set("live/b", 9));
		expect(look()).toEqual({ pin: 3, live: { a: 2, b: 9 }, rows: [] });
	});

	it("tells a change that it runs on the newest file only in a write", () => {
		const { queue, look, succeed } = aProcess();
		const seen: boolean[] = [];
		queue.add({ change: (_doc, isNewest) => void seen.push(isNewest) });
		look();
		succeed(queue.take());
		look();
		expect(seen).toEqual([false, true]);
	});

	it("keeps a change that came during a write for the next one", () => {
		const { queue, succeed, file } = aProcess();
		queue.add({ change: set("pin", 1) });
		const batch = queue.take();
		queue.add({ change: set("live/a", 2) });
		succeed(batch);
		expect([file(), queue.length]).toEqual([{ pin: 1, live: {}, rows: [] }, 1]);
		succeed(queue.take());
		expect([file(), queue.length]).toEqual([{ pin: 1, live: { a: 2 }, rows: [] }, 0]);
	});

	it("settles a caller once, with the error of the first write that fails", () => {
		const { queue, succeed } = aProcess();
		const settled: unknown[] = [];
		queue.add({ change: set("pin", 1), settle: (error) => settled.push(error) });
		expect(queue.hasWaiting()).toBe(true);
		queue.take().failed(full);
		expect(queue.hasWaiting()).toBe(false);
		succeed(queue.take());
		expect(settled).toEqual([full]);
	});

	it("settles every caller of a failed write, even if a change throws when it is run again", () => {
		const { queue } = aProcess();
		const settled: unknown[] = [];
		const settle = (error?: unknown) => settled.push(error);
		queue.add({ change: set("pin", 1), settle });
		queue.add({
			change: () => {
				throw new TypeError("a defect");
			},
			settle,
		});
		expect(() => queue.take().failed(full)).toThrow("a defect");
		expect(settled).toEqual([full, full]);
	});

	it("drops a change that is rolled back, and keeps the others of its write", () => {
		const { queue, look } = aProcess();
		queue.add({ change: set("pin", 1) });
		queue.add({ change: set("live/a", 2), isRolledBack: true });
		expect(queue.take().failed(full)).toEqual({ isRolledBack: true });
		expect(look()).toEqual({ pin: 1, live: {}, rows: [] });
		expect(queue.take().failed(full)).toEqual({ isRolledBack: false });
	});

	it("stays short under 500 changes of which no write succeeds", () => {
		const { queue, look } = aProcess();
		for (let at = 1; at <= 500; at += 1) {
			queue.add({ change: set(at % 2 === 0 ? "live/a" : "rows/x", at) });
			if (at % 50 === 0) queue.take().failed(full);
			expect(queue.length).toBeLessThanOrEqual(18);
		}
		expect(look()).toEqual({ pin: 0, live: { a: 500 }, rows: [{ id: "x", value: 499 }] });
	});

	it("stays short under 500 changes behind one write that takes its time", () => {
		const { queue, look, succeed } = aProcess();
		queue.add({ change: set("pin", 1), settle: () => undefined });
		const batch = queue.take();
		for (let at = 1; at <= 500; at += 1) queue.add({ change: set("live/a", at) });
		expect(queue.length).toBeLessThanOrEqual(18);
		succeed(batch);
		expect(look()).toEqual({ pin: 1, live: { a: 500 }, rows: [] });
	});

	it("keeps as many changes of a large document as are worth to read it for", () => {
		const queue = createWriteQueue<Doc>(empty, undefined, () => 100);
		for (let at = 1; at <= 100; at += 1) queue.add({ change: set("live/a", at) });
		expect(queue.length).toBe(100);
		queue.add({ change: set("live/b", 1) });
		expect(queue.length).toBe(1);
		const view = empty();
		queue.applyTo(view);
		expect(view.live).toEqual({ a: 100, b: 1 });
	});

	it("puts a value back that an earlier change had replaced, also as one of many", () => {
		const { queue, look } = aProcess();
		queue.add({ change: set("pin", 5), settle: () => undefined });
		for (let at = 1; at <= 20; at += 1) queue.add({ change: set("live/a", at) });
		queue.add({ change: set("pin", 0) });
		for (let at = 1; at <= 20; at += 1) queue.add({ change: set("live/a", at) });
		expect(queue.length).toBeLessThanOrEqual(18);
		expect(look().pin).toBe(0);
	});

	it("a write settles every change that it carried", () => {
		const { queue, look, foreign, succeed } = aProcess();
		queue.add({ change: set("live/a", 1) });
		const batch = queue.take();
		for (let at = 1; at <= 20; at += 1) queue.add({ change: set("live/b", at) });
		succeed(batch);
		foreign(set("live/a", 7));
		expect(look().live).toEqual({ a: 7, b: 20 });
	});

	it("runs no change again for each foreign write, once a write of them has failed", () => {
		const { queue, look, foreign } = aProcess();
		let runs = 0;
		for (let at = 1; at <= 10; at += 1) {
			queue.add({
				change: (doc) => {
					runs += 1;
					set("live/a", at)(doc);
				},
			});
		}
		queue.take().failed(full);
		runs = 0;
		for (let at = 1; at <= 100; at += 1) {
			foreign(set("live/b", at));
			expect(look().live).toEqual({ a: 10, b: at });
		}
		expect(runs).toBe(0);
	});

	it("asks who wins a row that both processes have changed", () => {
		const asked: unknown[] = [];
		let file: Doc = { ...empty(), rows: [{ id: "x", value: 1 }] };
		const resolve = (key: string, mine: unknown, theirs: unknown, before: unknown) => {
			asked.push([key, mine, theirs, before]);
			return theirs;
		};
		const queue = createWriteQueue<Doc>(() => structuredClone(file), { resolve });
		queue.add({ change: set("rows/x", 2) });
		queue.add({ change: set("pin", 1) });
		queue.take().failed(full);
		file = { ...empty(), rows: [{ id: "x", value: 3 }] };
		const view = structuredClone(file);
		queue.applyTo(view);
		expect(view).toEqual({ pin: 1, live: {}, rows: [{ id: "x", value: 3 }] });
		expect(asked).toEqual([["row", { id: "x", value: 2 }, { id: "x", value: 3 }, { id: "x", value: 1 }]]);
	});

	it("leaves to the other process the keys and rows that only that one has changed since", () => {
		const rows = ["x", "y", "z"].map((id) => ({ id, value: 1 }));
		const first = { pin: 1, live: { a: 1 }, rows };
		const { queue, look, foreign } = aProcess(first);
		look();
		queue.add({ change: set("rows/x", 2) });
		queue.add({ change: set("pin", 2) });
		queue.take().failed(full);
		foreign((doc) => {
			set("rows/y", 3)(doc);
			doc.rows = doc.rows.filter(({ id }) => id !== "z");
			doc.live.a = 5;
		});
		const merged = [
			{ id: "x", value: 2 },
			{ id: "y", value: 3 },
		];
		expect(look()).toEqual({ pin: 2, live: { a: 5 }, rows: merged });
	});
});

/** What may happen to a queue, in any order. */
type Step =
	| { readonly kind: "add"; readonly key: Key; readonly how: "debounced" | "awaited" | "rolled back" }
	| { readonly kind: "foreign"; readonly key: Key }
	| { readonly kind: "begin" | "succeed" | "fail" };

const aStep: fc.Arbitrary<Step> = fc.oneof(
	{
		weight: 5,
		arbitrary: fc.record({
			kind: fc.constant("add" as const),
			key: fc.constantFrom(...KEYS),
			how: fc.constantFrom("debounced", "debounced", "debounced", "awaited", "rolled back"),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign" as const), key: fc.constantFrom(...KEYS) }) },
	{ weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("begin" as const, "succeed" as const, "fail" as const) }) },
);

it("a pending key shows its last own value, in any order of writes and failures", () => {
	fc.assert(
		fc.property(fc.array(aStep, { maxLength: 120 }), (steps) => {
			const { queue, look, foreign, succeed, file } = aProcess();
			/** The same by hand: each change for itself, in order. */
			let model: { key: Key; value: number; isRolledBack: boolean; isInFlight: boolean }[] = [];
			let batch: WriteBatch<Doc> | undefined;
			let settled = 0;
			let awaited = 0;
			for (const [at, step] of steps.entries()) {
				// No two changes ever write the same value.
				const value = at + 1;
				if (step.kind === "add") {
					const isRolledBack = step.how === "rolled back";
					const isAwaited = step.how !== "debounced";
					if (isAwaited) awaited += 1;
					const count = () => {
						settled += 1;
					};
					const settle = isAwaited ? count : undefined;
					look();
					queue.add({ change: set(step.key, value), settle, isRolledBack });
					model.push({ key: step.key, value, isRolledBack, isInFlight: false });
				}
				if (step.kind === "foreign") foreign(set(step.key, value));
				if (step.kind === "begin" && !batch) {
					batch = queue.take();
					model = model.map((each) => ({ ...each, isInFlight: true }));
				}
				if (step.kind === "succeed" && batch) {
					succeed(batch);
					model = model.filter(({ isInFlight }) => !isInFlight);
					batch = undefined;
				}
				if (step.kind === "fail" && batch) {
					batch.failed(full);
					model = model
						.filter(({ isInFlight, isRolledBack }) => !(isInFlight && isRolledBack))
						.map((each) => ({ ...each, isInFlight: false }));
					batch = undefined;
				}
				const view = look();
				for (const key of KEYS) {
					const own = model.findLast((each) => each.key === key)?.value;
					expect([key, get(view, key)]).toEqual([key, own ?? get(file(), key)]);
				}
			}
			if (batch) succeed(batch);
			succeed(queue.take());
			expect([queue.length, settled]).toEqual([0, awaited]);
		}),
		runs(100, 1000),
	);
});

it("applies each change a few times only, however many stand before it while a write takes its time", () => {
	const MANY = 400;
	let applied = 0;
	const change = () => {
		applied += 1;
	};
	const queue = createWriteQueue(empty);
	// Of sessions that begin all at once: each waits for its own write, and none can be put together with another.
	for (let at = 0; at < MANY; at += 1) queue.add({ change, settle: () => undefined });
	queue.take();
	for (let at = 0; at < MANY; at += 1) queue.add({ change });
	expect(applied).toBeLessThanOrEqual(4 * MANY);
	expect(queue.length).toBeLessThanOrEqual(2 * MANY);
});
