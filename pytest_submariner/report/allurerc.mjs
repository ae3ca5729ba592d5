// Allure 3: `allure generate RESULTS -c reports/allurerc.mjs`. `python -m pytest_submariner.report.allure_html` uses it too.
// The environment variable ALLURE_HISTORY names a JSONL file that keeps one line per run, for trends.
import { readFileSync } from "node:fs";

const byMessage = JSON.parse(readFileSync(new URL("./categories.json", import.meta.url), "utf8"));
const history = process.env.ALLURE_HISTORY;

// A proven cause makes the most useful bucket: one category, grouped by the label `root_cause` that the plugin sets.
const byCause = {
  name: "Causes that were proven",
  matchers: [{ statuses: ["failed", "broken"], labels: { root_cause: /^(?!UNEXPLAINED$).+/ } }],
  groupBy: [{ label: "root_cause" }],
  groupByMessage: false,
  expand: true,
};

export default {
  name: "Submariner conformance",
  ...(history ? { historyPath: history, appendHistory: true, historyLimit: 100 } : {}),
  // The same on every result: they would only push the evidence down.
  hideLabels: ["host", "thread", "framework", "language", "package", "parentSuite", "suite", "subSuite"],
  categories: [byCause, ...byMessage],
  plugins: {
    awesome: {
      options: {
        singleFile: true,
        reportLanguage: "en",
        groupBy: ["epic", "feature", "story"],
      },
    },
  },
};
