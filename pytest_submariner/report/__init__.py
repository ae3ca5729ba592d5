"""One recorder, many writers: terminal, results.json, JUnit, Allure, HTML. Writers read what was recorded and ask nothing."""
