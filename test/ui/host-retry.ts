import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import { type HostName, prepareHost, repositoryRoot } from "../support/hosts.ts";

/** What a host's own turn retry makes of an error text. */
export interface HostRetry {
	readonly host: HostName;
	/** Words that wake the retry, wherever they stand in a text. */
	readonly wakes: RegExp;
	/** Words that forbid it all the same; 0.73.1 has none. */
	readonly forbids: RegExp | undefined;
}

/** A piece of the pattern that no other file of a host has. */
const DISTINCTIVE = "reset before headers";

/**
 * Reads the patterns out of the hosts' own files, so that a host that changes them is noticed.
 * @throws when a pattern is not where it was: a test on no pattern would always pass
 */
export async function hostRetries(): Promise<HostRetry[]> {
	return [
		fromMethod(join(repositoryRoot, "node_modules/@mariozechner/pi-coding-agent/dist/core/agent-session.js")),
		fromLists("0.87.1", join(repositoryRoot, "node_modules/@earendil-works/pi-ai/dist/utils/retry.js")),
		await fromBundle("1.5.2"),
		await fromBundle("1.6.0"),
	];
}

/** Does this host ask again by itself after such an error? */
export function retries({ wakes, forbids }: HostRetry, text: string): boolean {
	return wakes.test(text) && !forbids?.test(text);
}

function fromMethod(path: string): HostRetry {
	const source = readFileSync(path, "utf8");
	const method = /_isRetryableError\(message\) \{([\s\S]*?)\n {4}\}/.exec(source)?.[1];
	const literal = method && /return \/(.+)\/([a-z]*)\.test\(err\);/.exec(method);
	if (!literal?.[1]?.includes(DISTINCTIVE)) throw new Error(`${path} holds no retry pattern any more`);
	return { host: "0.73.1", wakes: new RegExp(literal[1], literal[2]), forbids: undefined };
}

async function fromBundle(host: HostName): Promise<HostRetry> {
	const { cli } = await prepareHost(host);
	return fromLists(host, chunkWithPattern(join(dirname(cli), "chunks")));
}

function fromLists(host: HostName, path: string): HostRetry {
	const source = readFileSync(path, "utf8");
	const pattern = (name: string) => {
		const words = listAfter(source, new RegExp(`\\b${name}\\s*=\\s*buildProviderErrorPattern\\(`));
		if (words === undefined) throw new Error(`${path} holds no ${name} any more`);
		return new RegExp(words.join("|"), "i");
	};
	const wakes = pattern("RETRYABLE_PROVIDER_ERROR_PATTERN");
	if (!wakes.source.includes(DISTINCTIVE)) throw new Error(`${path} holds another retry pattern`);
	return { host, wakes, forbids: pattern("NON_RETRYABLE_PROVIDER_LIMIT_ERROR_PATTERN") };
}

/** The array of strings that stands right after `start`; its texts hold brackets too, so ends are tried in turn. */
function listAfter(source: string, start: RegExp): string[] | undefined {
	const found = start.exec(source);
	if (!found) return undefined;
	const from = found.index + found[0].length;
	for (let end = source.indexOf("])", from); end >= 0 && end - from < 10_000; end = source.indexOf("])", end + 1)) {
		const list = evaluated(source.slice(from, end + 1));
		if (list) return list;
	}
	return undefined;
}

function evaluated(literal: string): string[] | undefined {
	try {
		return z.array(z.string()).min(5).safeParse(runInNewContext(literal)).data;
	} catch {
		// Cut off in the middle of a text.
		return undefined;
	}
}

function chunkWithPattern(folder: string): string {
	const name = readdirSync(folder).find(
		(each) => each.endsWith(".js") && readFileSync(join(folder, each), "utf8").includes(DISTINCTIVE),
	);
	if (name === undefined) throw new Error(`no file in ${folder} holds the retry pattern any more`);
	return join(folder, name);
}
