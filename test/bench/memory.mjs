// Preloaded into a pi that is measured: at each SIGUSR2 collects all garbage, and writes what is left, in bytes.
import { renameSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");

process.on("SIGUSR2", async () => {
	for (let round = 0; round < 4; round += 1) {
		collectGarbage();
		// What is released by a finalizer or an immediate is collected in the next round.
		await setTimeout(50);
	}
	const { heapUsed, rss } = process.memoryUsage();
	const file = process.env.MEMORY_FILE;
	writeFileSync(`${file}.next`, JSON.stringify({ heap: heapUsed, rss }));
	renameSync(`${file}.next`, file);
});
