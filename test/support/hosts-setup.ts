import { hostNames, prepareHost } from "./hosts.ts";

/** Fetches what the end-to-end tests need once, before vitest starts its workers. */
export default async function prepareHosts(): Promise<void> {
	for (const name of hostNames) await prepareHost(name);
}
