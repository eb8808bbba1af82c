import { beforeEach, expect, it } from "vitest";
import { createLateLedger, type DatedEntry, type LateLedger } from "../../../../src/core/ledger/late-ledger.ts";
import type { LedgerEntry } from "../../../../src/core/ledger/ledger.ts";
import { NOW, until } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";

const entry: LedgerEntry = { kind: "rotated", account: anId("a"), asked: { modelId: "m", sessionId: aSessionId("s") } };
let added: DatedEntry[];
let loads: number;
let flushes: number;
let isOn: boolean;
let refusal: Error | undefined;
let failures: unknown[];
let ledger: LateLedger;

beforeEach(() => {
	added = [];
	loads = 0;
	flushes = 0;
	isOn = true;
	refusal = undefined;
	failures = [];
	ledger = createLateLedger({
		isOn: () => isOn,
		folderOf: (sessionId) => (sessionId === "s" ? "/p" : undefined),
		load: async () => {
			loads += 1;
			if (refusal) throw refusal;
			return {
				add: (entries) => void added.push(...entries),
				flush: async () => {
					flushes += 1;
				},
			};
		},
		onFailure: (error) => failures.push(error),
		now: () => NOW,
	});
});

it("takes entries at once, and loads what writes them a moment later, once", async () => {
	ledger.record(entry);
	ledger.record(entry);
	expect([loads, added.length]).toEqual([0, 0]);
	await until("the entries are written", () => flushes > 0);
	expect([loads, added]).toEqual([1, [entry, entry].map((each) => ({ at: NOW, folder: "/p", entry: each }))]);
	ledger.record({ ...entry, asked: { modelId: "m", sessionId: undefined } });
	await ledger.flush();
	expect([loads, added.at(-1)?.folder]).toEqual([1, undefined]);
});

it("writes what waits when a session ends, and loads nothing if there was nothing to count", async () => {
	await ledger.flush();
	expect(loads).toBe(0);
	ledger.record(entry);
	await ledger.flush();
	expect([added.length, flushes]).toEqual([1, 1]);
});

it("counts nothing if the person wants that", async () => {
	isOn = false;
	ledger.record(entry);
	await ledger.flush();
	expect([loads, added]).toEqual([0, []]);
});

it("keeps the entries, up to a thousand, while an update has taken away the code that writes them", async () => {
	refusal = new Error("Cannot find module");
	for (let count = 0; count < 1500; count += 1) ledger.record(entry);
	await ledger.flush();
	expect(failures).toEqual([refusal]);
	refusal = undefined;
	await ledger.flush();
	expect(added).toHaveLength(1000);
});
