import { expect, it } from "vitest";
import { showSchema } from "../../src/pi/json-schemas.ts";
import { usageAnswers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { wide } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const DAY_MS = 24 * 3_600_000;
const SSE = { transport: "sse" };

async function shown(bench: Bench) {
	const { stdout } = await bench.print("/multicodex show --json");
	return showSchema.parse(JSON.parse(stdout)).accounts;
}

/** What `/multicodex refresh` says. */
async function refreshed(rpc: Rpc): Promise<string> {
	const before = rpc.notifications.length;
	await rpc.send("/multicodex refresh");
	return rpc.notifications
		.slice(before)
		.map(({ message }) => message)
		.join("\n");
}

it("a monthly budget is shown, ranked by, and waited for until its reset, as usage alone tells", async () => {
	const bench = await createBench({
		accounts: [{ name: "seat", plan: "business" }, "b"],
		settings: { ...SSE, "pi-multicodex": { rotation: { policy: "most-headroom" } } },
	});
	const seat = bench.codex.account("seat");
	seat.usage(usageAnswers.budget({ usedPercent: 40, resetsInMs: 12 * DAY_MS }));
	const b = bench.codex.account("b").setQuota({ week: { usedPercent: 55 } });
	b.credits = { hasCredits: true, balance: "5", overageReached: true };
	b.resetCredits.grant({}, {});
	const rpc = bench.rpc();
	const told = () => refreshed(rpc);

	expect(await told()).toMatch(/seat +month 60% left/);
	expect((await rpc.prompt("say hi")).text).toBe("OK from seat #1");
	const [ofSeat, ofB] = await shown(bench);
	expect(ofSeat).toMatchObject({
		state: "ready",
		usage: { windows: [], budgets: [{ name: "30d", usedPercent: 40, reached: false, used: 200, limit: 500 }] },
	});
	expect(ofSeat?.usage).not.toHaveProperty("resetCredits");
	expect(ofB?.usage).toMatchObject({ resetCredits: 2, credits: { balance: "5", overageReached: true } });

	seat.usage(usageAnswers.budget({ usedPercent: 98, resetsInMs: 12 * DAY_MS }));
	expect(await told()).toMatch(/seat +month 2% left/);
	await rpc.command("new_session");
	expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");

	seat.usage(usageAnswers.budget({ usedPercent: 99, reached: true, resetsInMs: 12 * DAY_MS }));
	expect(await told()).toMatch(/seat +month 0% left/);
	await until("the rest to be stored", () => bench.status("seat").cooldowns.length > 0);
	const [cooldown] = bench.status("seat").cooldowns;
	expect(cooldown).toMatchObject({ scope: "account", reason: "usage_limit" });
	expect(Math.abs((cooldown?.until ?? 0) - Date.now() - 12 * DAY_MS)).toBeLessThan(60_000);
	expect((await shown(bench))[0]?.state).toBe("cooling");
	await rpc.send("/multicodex use seat");
	expect((await rpc.prompt("say hi")).text).toBe("OK from b #2");
	expect(bench.asked()).toEqual(["seat", "b", "b"]);
});

it("bought credits are spent by the session that is on them, once no account has quota", async () => {
	const bench = await createBench({
		accounts: [
			{ name: "rich", quota: { week: { usedPercent: 50 } }, credits: { hasCredits: true, balance: "20" } },
			{ name: "b", quota: { week: { usedPercent: 100 } } },
		],
		settings: SSE,
	});
	const [rich, b] = ["rich", "b"].map((name) => bench.codex.account(name));
	const rpc = bench.rpc();
	await refreshed(rpc);
	expect((await rpc.prompt("say hi")).text).toBe("OK from rich #1");
	rich?.setQuota({ week: { usedPercent: 100 } });
	// This answer reports what is left.
	expect((await rpc.prompt("say hi")).text).toBe("OK from rich #2");
	expect((await rpc.prompt("say hi")).text).toBe("OK from rich #3");
	expect((await rpc.prompt("say hi")).text).toBe("OK from rich #4");
	const notices = rpc.notifications.map(({ message }) => message).filter((text) => text.includes("bought credits"));
	expect(notices).toHaveLength(1);
	expect(notices[0]).toContain("This session continues on the bought credits of rich until");

	// Another session, pinned or not, is not moved onto them.
	const other = await bench.print("say hi");
	expect(other).toMatchObject({ code: 1, stdout: "" });
	expect(other.stderr).toContain("Codex quota exceeded on all 2 accounts.");
	expect((await shown(bench)).map(({ state, cooldowns }) => [state, cooldowns.length])).toEqual([
		["cooling", 0],
		["cooling", 1],
	]);

	// As soon as another has quota, the session leaves them.
	b?.setQuota({ week: { usedPercent: 10 } });
	await bench.print("/multicodex reset quota");
	await refreshed(rpc);
	expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
	expect(bench.asked()).toEqual(["rich", "rich", "rich", "rich", "b"]);
});

wide("bought credits of the only account are spent as pi alone would, over WebSocket too", async () => {
	const bench = await createBench({
		accounts: [{ name: "rich", quota: { week: { usedPercent: 100 } }, credits: { hasCredits: true } }],
		host: "0.87.1",
	});
	await bench.print("/multicodex refresh");
	expect((await shown(bench))[0]).toMatchObject({ state: "cooling", cooldowns: [] });
	for (let turn = 1; turn <= 2; turn += 1) {
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: `OK from rich #${turn}\n` });
	}
	expect((await bench.print("/multicodex show")).stdout).toContain("bought credits are left");
});

wide.each([OLDEST_HOST, NEWEST_HOST])(
	"a yes to bought credits for one turn covers no summary that is asked for after it: %s",
	async (host) => {
		const quota = { fiveHour: { usedPercent: 10 }, week: { usedPercent: 100 } };
		const credits = { hasCredits: true, balance: "12" };
		const bench = await createBench({
			host,
			accounts: [{ name: "rich", quota, credits }, "b"],
			settings: {
				...SSE,
				compaction: { keepRecentTokens: 1, reserveTokens: 100 },
				"pi-multicodex": { rotation: { maxWait: "0s" }, beyond: { credits: "ask", reserve: "never" } },
			},
		});
		bench.codex.account("b").setQuota(quota);
		const rpc = bench.rpc();
		await refreshed(rpc);
		let questions = 0;
		rpc.answerDialogs(({ options }) => {
			questions += 1;
			return options.find((option) => option.includes(questions === 1 ? "bought credits" : "Stop"));
		});
		expect((await rpc.prompt(`one ${"word ".repeat(500)}`)).text).toBe("OK from rich #1");
		await expect(rpc.command("compact")).rejects.toThrow(/Codex quota exceeded/);
		expect(questions).toBe(2);
		expect(bench.asked()).toEqual(["rich"]);
	},
);
