// For people who run Allure 3 by hand: `npx allure@3.18.0 generate allure-results -c allurerc.mjs -o allure` in this folder.
export { default } from "../pytest_submariner/report/allurerc.mjs";
