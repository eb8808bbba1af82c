import {
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgentDir } from "../support/agent-dir.ts";
import { startFakeCodex } from "../support/fake-codex/index.ts";
import { type HostName, prepareHost, repositoryRoot } from "../support/hosts.ts";
import { packRepository, unpack } from "../support/package.ts";
import { runPi } from "../support/pi.ts";
import { median } from "./options.ts";
import { accountRows } from "./stored-pool.ts";

/**
 * What a start costs: processor time of a whole `pi -p` with a healthy answer, plain and with each of three extensions,
 * one after the other in turn. A ratio is the median of what each round gives, so that a busy machine slows both sides.
 * Cold: pi's own caches are warm, and nothing of the extension is in them, as in the first start after an install.
 */

const VARIANTS = ["plain", "empty extension", "package", "source"] as const;
type Variant = (typeof VARIANTS)[number];

/** One variant on one host. All figures are medians of the rounds. */
export interface StartCost {
	readonly host: HostName;
	readonly variant: Variant;
	readonly kind: "warm" | "cold";
	readonly milliseconds: number;
	/** To plain pi in the same round. */
	readonly ratio: number;
	readonly rounds: readonly number[];
}

/** Measures every variant on `name`, `rounds` times each. */
export async function measureStart(name: HostName, kind: StartCost["kind"], rounds: number): Promise<StartCost[]> {
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
	const host = await prepareHost(name);
	const codex = await startFakeCodex({ accounts: ["a", "b", "c"] });
	const [own = "", ...others] = codex.accounts.map((account) => account.name);
	const accounts = accountRows(codex, others);
	const dir = createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": codex.piAuthEntry(own) },
		accounts: { version: 2, accounts },
	});
	const empty = join(folder, "empty.ts");
	writeFileSync(empty, "export default function (): void {}\n");
	const unpacked = await unpack(await packRepository(folder));
	const dropBytecode = () => {
		const dist = join(unpacked, "dist");
		for (const name of readdirSync(dist)) if (name.endsWith(".v8")) rmSync(join(dist, name));
	};
	const extensions: Readonly<Record<Variant, string | false>> = {
		plain: false,
		"empty extension": empty,
		package: join(unpacked, "index.ts"),
		source: join(repositoryRoot, "index.ts"),
	};
	const cpuFile = join(folder, "cpu");
	const run = async (variant: Variant, caches: string) => {
		const { code, stderr } = await runPi(host, dir, ["-p", "--no-tools", "--no-session", "say hi"], {
			extension: extensions[variant],
			env: {
				PI_MULTICODEX_AUTH_URL: codex.issuer,
				NODE_OPTIONS: `--import ${join(repositoryRoot, "test/bench/cpu-time.mjs")}`,
				CPU_TIME_FILE: cpuFile,
				TMPDIR: caches,
			},
		});
		// A start that failed, or an extension that gave up, would be measured as a fast one.
		if (code !== 0 || stderr !== "") throw new Error(`${variant} on pi ${name}: exit code ${code}, ${stderr}`);
		return Number(readFileSync(cpuFile, "utf8"));
	};
	try {
		const cachesOf = (variant: string) => join(folder, `caches of ${variant}`);
		for (const variant of VARIANTS) {
			mkdirSync(cachesOf(variant));
			// Twice: the second run finds, and completes, what the first one has cached.
			for (let times = 0; times < 2; times += 1) await run(kind === "cold" ? "plain" : variant, cachesOf(variant));
		}
		const taken = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
		for (let round = 0; round < rounds; round += 1) {
			const order = round % 2 === 0 ? VARIANTS : [...VARIANTS].reverse();
			for (const variant of order) {
				const caches = kind === "warm" ? cachesOf(variant) : join(folder, "cold");
				if (kind === "cold") {
					cpSync(cachesOf(variant), caches, { recursive: true });
					dropBytecode();
				}
				taken.get(variant)?.push(await run(variant, caches));
				if (kind === "cold") rmSync(caches, { recursive: true });
			}
		}
		const plain = taken.get("plain") ?? [];
		return [...taken].map(([variant, each]) => ({
			host: name,
			variant,
			kind,
			milliseconds: median(each),
			ratio: median(each.map((milliseconds, round) => milliseconds / (plain[round] ?? Number.NaN))),
			rounds: each,
		}));
	} finally {
		await codex.close();
		dir.remove();
		rmSync(folder, { recursive: true, force: true });
	}
}
