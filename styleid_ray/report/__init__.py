"""The page that shows a run: its counts, measures, pictures and failures, in one HTML file.

The main flow is `write.write_report`. The page loads nothing from elsewhere, and shows file names,
which anybody may have chosen, as text only.
"""

from styleid_ray.report.write import write_report
