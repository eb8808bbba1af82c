import { describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { createLoginNews } from "../../../../src/features/sign-in/login-news.ts";
import { anAccount, aSnapshot, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { createHarness } from "../../harness.ts";

const work = anAccount("work");
const usage = aSnapshot({ windows: [{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] });

/** The notices after a sign-in of `account`, which was `known` before. */
async function toldOf(account: Account | undefined, known: Account | undefined, ask: () => Promise<boolean>) {
	const { pool, clock, state } = createHarness(work);
	state.statusById.set(work.id, { cooldowns: [], strikes: 0, usage });
	const told: string[] = [];
	const identity = { id: work.id, workspaceId: work.workspaceId, userId: work.userId, email: work.email };
	const whose = () => account && { identity: { ...identity, plan: undefined, claims: undefined }, account };
	const news = createLoginNews({ membership: { whose }, pool, usage: { ask }, clock, pauseMs: 0 });
	news.follow((text) => told.push(text));
	await news.signedIn(work.credential, known);
	return told;
}

describe("the news of a sign-in by pi's own /login", () => {
	it("the news are who joined, with what is left and what to type next", async () => {
		const [told = "", ...others] = await toldOf(work, undefined, async () => true);
		expect(others).toEqual([]);
		expect(told.split("\n")).toEqual([
			expect.stringMatching(/\badded work\b.* 1 account/),
			expect.stringMatching(/^work .*work@example\.test.* 73% of 5h /),
			expect.stringContaining("/multicodex add"),
		]);
	});

	it("the news say of an account that was there before that it is signed in again", async () => {
		expect(await toldOf(work, work, async () => true)).toEqual([
			expect.stringMatching(/^Codex: work is .*again\.\nwork is .*\. Left: 73% of 5h/),
		]);
	});

	it("the news leave out figures that do not come, and are none if the token names no account", async () => {
		const withoutFigures = [expect.not.stringContaining("Left")];
		expect(await toldOf(work, undefined, async () => false)).toEqual(withoutFigures);
		expect(await toldOf(work, undefined, () => Promise.reject(new Error("no network")))).toEqual(withoutFigures);
		expect(await toldOf(undefined, undefined, async () => true)).toEqual([]);
	});
});
