import { beforeEach, expect, it } from "vitest";
import { createForToday, type ForToday } from "../../../../src/features/beyond/for-today.ts";
import { aClock, anAccount, aStateStore, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { RUNGS } from "./offers.ts";

let clock: ReturnType<typeof aClock>;
let state: ReturnType<typeof aStateStore>;
let forToday: ForToday;
beforeEach(() => {
	clock = aClock();
	state = aStateStore();
	forToday = createForToday(state, clock);
});
const midnight = new Date(NOW).setHours(24, 0, 0, 0);

it("holds for its kind alone, until midnight", async () => {
	await forToday.remember(RUNGS.reserveModel);
	expect([forToday.holds(RUNGS.reserveModel), forToday.holds(RUNGS.credits)]).toEqual([true, false]);
	expect(forToday.list()).toEqual([{ kind: "reserve-model", until: midnight }]);
	clock.at += midnight - NOW - 1;
	expect(forToday.holds(RUNGS.reserveModel)).toBe(true);
	clock.at += 1;
	expect([forToday.holds(RUNGS.reserveModel), forToday.list()]).toEqual([false, []]);
});

it("holds in every process, and ends in every process", async () => {
	const elsewhere = createForToday(state, clock);
	await forToday.remember(RUNGS.credits);
	expect(elsewhere.holds(RUNGS.credits)).toBe(true);
	await elsewhere.forget();
	expect(forToday.holds(RUNGS.credits)).toBe(false);
});

it("never covers a reset credit, even if a file says so", async () => {
	await forToday.remember(RUNGS.resetCredit);
	expect([...state.consentsById]).toEqual([]);
	state.consentsById.set("reset-credit", NOW + HOUR_MS);
	expect([forToday.holds(RUNGS.resetCredit), forToday.list()]).toEqual([false, []]);
});

it("covers the credits of the account that it was given for, and of no other", async () => {
	await forToday.remember(RUNGS.credits);
	expect(forToday.list()).toEqual([{ kind: "credits", until: midnight }]);
	expect(forToday.holds({ ...RUNGS.credits, account: anAccount("another") })).toBe(false);
	await forToday.remember({ ...RUNGS.credits, account: anAccount("another") });
	expect(forToday.holds({ ...RUNGS.credits, account: anAccount("another") })).toBe(true);
	expect(forToday.list()).toHaveLength(1);
});

it("ends if a clock was wrong when it was given", async () => {
	await forToday.remember(RUNGS.credits);
	for (const key of state.consentsById.keys()) state.consentsById.set(key, NOW + 40 * DAY_MS);
	expect(forToday.holds(RUNGS.credits)).toBe(false);
});
