import { expect, onTestFinished } from "vitest";
import { startFakeOther } from "../support/fake-other.ts";
import { NEWEST_HOST, prepareHost } from "../support/hosts.ts";
import { wide } from "../support/tiers.ts";
import { createBench } from "./support.ts";

const SPENT = { week: { usedPercent: 100 } };

wide(
	"a night in print mode passes through what the settings allow, and back, and the log tells each move",
	async () => {
		const { model: normalModel } = await prepareHost(NEWEST_HOST);
		const other = await startFakeOther();
		onTestFinished(() => other.close());
		const reserve = { usedPercent: 60, normalModel, costPerRequestPercent: 40 };
		const bench = await createBench({
			host: NEWEST_HOST,
			accounts: [{ name: "a", reserve, credits: { hasCredits: true, balance: "20" } }],
			settings: {
				transport: "sse",
				retry: { baseDelayMs: 50 },
				"pi-multicodex": {
					beyond: { credits: "never", reserve: "always", chain: ["other/small"] },
					rotation: { maxWait: "0s" },
				},
			},
		});
		const { codex } = bench;
		bench.dir.write("models.json", {
			providers: { "openai-codex": { baseUrl: codex.baseUrl }, other: other.provider([{ id: "small" }]) },
		});
		const say = async () => {
			const { code, stdout } = await bench.print("go on", ["--model", "openai-codex/pool", "--continue"]);
			return [code, stdout.trim()];
		};
		const wireModels = () => codex.responsesRequests().map(({ body }) => body?.model);

		expect(await say()).toEqual([0, "OK from a #1"]);
		codex.account("a").setQuota(SPENT);
		await bench.print("/multicodex refresh");
		expect(await say()).toEqual([0, "OK from a #2"]);
		expect(await say()).toEqual([0, "OK from small"]);
		codex.account("a").setQuota({ week: { usedPercent: 0 } });
		await bench.print("/multicodex refresh");
		await bench.print("/multicodex reset quota");
		expect(await say()).toEqual([0, "OK from a #3"]);
		expect(wireModels()).toEqual([normalModel, "gpt-reserve", normalModel]);

		const moves = (await bench.print("/multicodex log 30")).stdout;
		expect(moves).toMatch(/a: continues with Luna Reserve[\s\S]*other\/small serves[\s\S]*the pool serves again/);
		expect(moves).not.toContain("bought credits");
	},
);
